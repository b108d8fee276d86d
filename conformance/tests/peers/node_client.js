// Node's client against a server of ours: node_client.js PORT. Prints one line of JSON for each thing it saw.
'use strict';
const http = require('http');
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

(async () => {
  const many = await Promise.all(Array.from({ length: 40 }, (_, i) => exchange({ path: `/${i}` })));
  say({ many: many.map((each) => each.status), right: many.every((each, i) => each.text.includes(`"/${i}"`)) });
  say({ reused: many.filter((each) => each.reused).length, plain: (await exchange({ path: '/' })).reused });
  say(await exchange({ path: '/trailers' }));
  say(await exchange({ path: '/hints' }));
  say(await exchange({ path: '/up', method: 'POST', headers: { Expect: '100-continue' } }, 'hello'));
  say(await exchange({ path: '/up', method: 'PUT' }, Buffer.alloc(1 << 20)));
  say(await exchange({ path: '/', method: 'HEAD' }));
  agent.destroy();
})();
