// Node's server for a client of ours: node_server.js PORT.
'use strict';
const http = require('http');

const server = http.createServer((req, res) => {
  const path = req.url;
  if (path === '/refuse') {
    res.writeHead(413, { Connection: 'close' });
    res.end('too much');
    return;
  }
  if (path === '/close') res.setHeader('Connection', 'close');
  // 13.14 can send no 103 of its own.
  if (path === '/hints') res.socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
  if (path === '/chunks') {
    res.setHeader('Trailer', 'X-Sum');
    res.write('one');
    res.addTrailers({ 'X-Sum': '42' });
    res.end('two');
    return;
  }
  let total = 0;
  req.on('data', (piece) => { total += piece.length; });
  req.on('end', () => {
    const trailers = path === '/body' ? ` ${JSON.stringify(req.trailers)}` : '';
    res.end(`${req.method} ${path} ${total}${trailers}`);
  });
});
server.on('connect', (req, socket, head) => {
  socket.write('HTTP/1.1 200 Connection Established\r\n\r\nhello ');
  socket.end('tunnel');
});
server.on('upgrade', (req, socket, head) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.on('data', (data) => socket.end(`echo: ${data}`));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
