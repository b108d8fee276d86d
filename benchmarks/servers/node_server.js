// Node's own http module: node_server.js PORT
'use strict';
const fs = require('fs');
const { BENCH_CERT, BENCH_KEY } = process.env;
const PIECE = Buffer.alloc(65536);

const app = (req, res) => {
  const path = req.url;
  if (path === '/') {
    res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': '14' });
    res.end('Hello, World!\n');
  } else if (path === '/echo') {
    res.writeHead(200, { 'Content-Length': req.headers['content-length'] });
    req.pipe(res);
  } else if (path === '/chunks') {
    for (let i = 0; i < 10; i++) res.write(PIECE.slice(0, 1024));
    res.end();
  } else if (path === '/up') {
    let total = 0;
    req.on('data', (piece) => { total += piece.length; });
    req.on('end', () => res.end(String(total)));
  } else if (path.startsWith('/down?size=')) {
    let left = Number(path.slice(11));
    res.writeHead(200, { 'Content-Length': left });
    const more = () => {
      while (left) {
        const piece = left >= PIECE.length ? PIECE : PIECE.slice(0, left);
        left -= piece.length;
        if (!res.write(piece)) { res.once('drain', more); return; }
      }
      res.end();
    };
    more();
  } else {
    res.writeHead(404);
    res.end();
  }
};

const server = BENCH_CERT
  ? require('https').createServer({ cert: fs.readFileSync(BENCH_CERT), key: fs.readFileSync(BENCH_KEY) }, app)
  : require('http').createServer(app);
server.listen(Number(process.argv[2]), '127.0.0.1', 4096);
