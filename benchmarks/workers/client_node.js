// Node's Agent: client_node.js PORT, asked as the other workers are (asking.py). Options instead of a URL: it is faster.
'use strict';
const http = require('http');
const readline = require('readline');
const WARM = 0.1;
const port = Number(process.argv[2]);

const crowd = (many, agent, seconds, done) => {
  const options = { host: '127.0.0.1', port, path: '/', agent };
  const due = process.hrtime.bigint() + BigInt(Math.round(seconds * 1e9));
  let count = 0;
  let left = many;
  const one = () => {
    if (process.hrtime.bigint() >= due) {
      left -= 1;
      if (left === 0) done(count);
      return;
    }
    http.get(options, (res) => {
      res.on('data', () => {});
      res.on('end', () => { count += 1; process.nextTick(one); });
    });
  };
  for (let i = 0; i < many; i++) one();
};

process.stdout.write('ready\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [work, seconds] = line.split(' ');
  const many = work === '32-at-a-time' ? 32 : 1;
  const agent = new http.Agent({ keepAlive: true, maxSockets: many });
  crowd(many, agent, WARM, () => {
    const began = process.hrtime.bigint();
    crowd(many, agent, Number(seconds), (count) => {
      const took = Number(process.hrtime.bigint() - began) / 1e9;
      agent.destroy();
      process.stdout.write(`${count} ${took}\n`);
    });
  });
});
