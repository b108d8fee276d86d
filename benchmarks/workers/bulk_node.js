// Large bodies through Node's client: bulk_node.js PORT, asked for `down MIB` or `up MIB`.
'use strict';
const http = require('http');
const readline = require('readline');
const PIECE = Buffer.alloc(65536);
const port = Number(process.argv[2]);

const down = (size, done) => http.get({ host: '127.0.0.1', port, path: `/down?size=${size}` }, (res) => {
  let total = 0;
  res.on('data', (piece) => { total += piece.length; });
  res.on('end', () => done(total));
});

const up = (size, done) => {
  const headers = { 'Content-Length': size };
  const req = http.request({ host: '127.0.0.1', port, path: '/up', method: 'POST', headers }, (res) => {
    let text = '';
    res.on('data', (piece) => { text += piece; });
    res.on('end', () => done(Number(text)));
  });
  let left = size;
  const more = () => {
    while (left) {
      left -= PIECE.length;
      if (!req.write(PIECE)) { req.once('drain', more); return; }
    }
    req.end();
  };
  more();
};

process.stdout.write('ready\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [work, mib] = line.split(' ');
  const size = Number(mib) * 1048576;
  const began = process.hrtime.bigint();
  (work === 'down' ? down : up)(size, (total) => {
    if (total !== size) throw new Error(`${total} bytes instead of ${size}`);
    process.stdout.write(`${Number(mib)} ${Number(process.hrtime.bigint() - began) / 1e9}\n`);
  });
});
