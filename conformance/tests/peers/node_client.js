// Node's client against a server of ours: node_client.js PORT. Prints one line of JSON for each thing it saw.
'use strict';
const http = require('http');
const net = require('net');
const port = Number(process.argv[2]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const say = (what) => console.log(JSON.stringify(what));

function exchange(options, body) {
  return new Promise((resolve) => {
    const seen = { informed: [], continued: false };
    const req = http.request({ port, host: '127.0.0.1', agent, ...options }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (piece) => { text += piece; });
      res.on('end', () => resolve({
        ...seen, status: res.statusCode, text, trailers: res.trailers, complete: res.complete, reused: req.reusedSocket,
      }));
    });
    req.on('information', (info) => seen.informed.push(info.statusCode));
    req.on('continue', () => { seen.continued = true; req.end(body); });
    req.on('error', (error) => resolve({ ...seen, error: error.code }));
    if (options.headers && options.headers.Expect) req.flushHeaders();
    else req.end(body);
  });
}

// Requests in one packet; the targets in the answers, in their order.
function pipelined(text) {
  return new Promise((resolve) => {
    let answer = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (piece) => { answer += piece; });
    socket.on('end', () => resolve(answer.match(/"url": "[^"]*"/g).map((each) => each.slice(8, -1))));
  });
}

// What comes on the raw stream after CONNECT or an upgrade.
function switched(event, options, greeting) {
  return new Promise((resolve) => {
    const req = http.request({ port, host: '127.0.0.1', agent, ...options });
    req.on(event, (res, socket, head) => {
      let text = String(head);
      socket.on('data', (piece) => { text += piece; });
      socket.on('end', () => { socket.end(); resolve([res.statusCode, text]); });
      if (greeting) socket.write(greeting);
    });
    req.end();
  });
}

(async () => {
  const many = await Promise.all(Array.from({ length: 40 }, (_, i) => exchange({ path: `/${i}` })));
  say({ many: many.map((each) => each.status), right: many.every((each, i) => each.text.includes(`"/${i}"`)) });
  // Who waited for a place does not say that its socket is reused; the server knows better.
  const connections = new Set(many.map((each) => JSON.parse(each.text).on)).size;
  say({ connections, plain: (await exchange({ path: '/' })).reused });
  say(await exchange({ path: '/trailers' }));
  say(await exchange({ path: '/hints' }));
  say(await exchange({ path: '/up', method: 'POST', headers: { Expect: '100-continue' } }, 'hello'));
  say(await exchange({ path: '/up', method: 'PUT' }, Buffer.alloc(1 << 20)));
  say(await exchange({ path: '/', method: 'HEAD' }));
  const sockets = Object.values(agent.freeSockets).concat(Object.values(agent.sockets));
  say(sockets.reduce((count, each) => count + each.length, 0));
  say(await switched('connect', { method: 'CONNECT', path: 'h.example:80', headers: { Host: 'h.example:80' } }));
  say(await switched('upgrade', { headers: { Connection: 'Upgrade', Upgrade: 'echo' } }, 'hi'));
  const host = ' HTTP/1.1\r\nHost: h\r\n';
  say(await pipelined(`GET /one${host}\r\nPOST /two${host}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`
    + `POST /three${host}Content-Length: 2\r\n\r\nhiGET /four${host}Connection: close\r\n\r\n`));
  agent.destroy();
})();
