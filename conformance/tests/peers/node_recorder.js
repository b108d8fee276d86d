// Node's server behind a front of ours: node_recorder.js PORT. Prints one line of JSON for each request it saw.
'use strict';
const http = require('http');

http.createServer((req, res) => {
  let text = '';
  req.setEncoding('latin1');
  req.on('data', (piece) => { text += piece; });
  req.on('end', () => {
    const { method, url, headers } = req;
    console.log(JSON.stringify({ method, url, id: headers['x-front-id'], from: req.socket.remotePort, text }));
    res.end(`${url}\n`);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
