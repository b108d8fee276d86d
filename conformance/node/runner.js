'use strict';
// Carries out case documents on the http module of the Node that runs it:
//
//     node --expose-internals runner.js < cases
//
// One case a line as JSON (made by anywire/conformance/goldens.py), one result a line. Made for Node 13.14.0; nothing
// is needed but Node. Whatever a case leaves behind is cleared up before the next.

const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const { Application } = require('./application');
const { rest } = require('./calls');
const { Clock } = require('./clock');
const parsing = require('./parsing');
const { Peer } = require('./peers');
const { Secrets } = require('./secure');
const { World } = require('./world');

const clock = new Clock();
let uncaught = null;
process.on('uncaughtException', (error) => {
  if (!uncaught) throw error;
  uncaught(error);
});

/** The application is a server. */
function* serve(world, { program, peers }, application) {
  const server = application.server();
  let flows = null;
  application.listen = function* listen(...args) {
    application.listen = () => { throw new Error('listens already'); };
    if (!peers.length || !peers.every(({ peer }) => peer.steps.length && peer.steps[0].verb === 'inject')) {
      server.listen(...(args.length ? args : [0, '127.0.0.1']));
      yield rest('listen');
      world.port = server.address().port;
    }
    flows = peers.map(({ peer, fd }) => {
      const injected = peer.steps.length && peer.steps[0].verb === 'inject';
      const talk = injected ? peer.inject((end) => server.emit('connection', end)) : peer.connect(world.port, fd);
      return world.start(`peer ${peer.number}`, true, talk);
    });
  };
  yield* application.perform(program.main, application.scope);
  if (peers.length && flows === null) yield* application.listen();
  if (flows !== null) yield { what: '', poll: () => flows.every(({ done }) => done) };
  yield* application.join(Object.keys(application.tasks));
  yield { what: '', poll: () => application.handling === 0 };
  let closed = !server.listening;
  if (!closed) server.close(() => { closed = true; });
  yield { what: 'close of the server', poll: () => closed };
}

/** The application makes requests. */
function* request(world, { program, peers, listener }, application) {
  const waiting = peers.map(({ peer }) => peer);
  const flows = [];
  let extra = 0;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const peer = waiting.shift() || new Peer(world, peers.length + ++extra, [{ verb: 'gone' }]);
    if (extra) peers.push({ peer });
    peer.use(socket);
    flows.push(world.start(`peer ${peer.number}`, true, peer.converse()));
  });
  server.listen(listener === undefined ? { port: 0, host: '127.0.0.1' } : { fd: listener });
  yield rest('listen');
  world.port = server.address().port;
  yield* application.perform(program.main, application.scope);
  yield* application.join(Object.keys(application.tasks));
  yield { what: '', poll: () => world.flows.every(({ name, peer }) => peer || name === 'main') };
  world.log.frozen = true;
  for (const each of application.requests) each.destroy();
  for (const each of [...application.agents, http.globalAgent, https.globalAgent]) each.destroy();
  yield rest('');
  yield { what: '', poll: () => flows.every(({ done }) => done) };
}

/** Carry out one case; `done` gets what is to be written down. */
function run(document, done) {
  clock.reset();
  const world = new World(clock, document.slowness || 1);
  const secrets = new Secrets(document.certificates);
  const peers = (document.peers || []).map((steps, index) => {
    return { peer: new Peer(world, index + 1, steps, secrets), fd: document.sockets && document.sockets[index] };
  });
  let lines = null;
  let generator;
  if (document.role === 'request' || document.role === 'response') {
    generator = (function* parse() {
      lines = yield* parsing[document.role === 'request' ? 'requests' : 'responses'](world, document);
    }());
  } else {
    const modules = document.secure ? { http, https } : { http };
    const application = new Application(world, document.program, modules, document.certificates);
    const scenario = document.role === 'server' ? serve : request;
    generator = scenario(world, { ...document, peers }, application);
  }
  const main = world.start('main', false, generator);
  uncaught = (error) => world.uncaught(error);
  world.run(main, () => {
    const log = lines ? lines.map((line) => [0, line]) : world.log.lines(document.separate);
    const port = new RegExp(`(?<=[: ])${world.port}\\b`, 'g');
    const elsewhere = (text) => world.paths.reduce((said, each) => said.split(each).join('FOLDER'), text);
    const masked = (text) => elsewhere(world.port ? text.replace(port, 'PORT') : text);
    world.log.frozen = true;
    for (const each of world.paths) fs.rmdirSync(each, { recursive: true });
    for (const each of process._getActiveHandles()) {
      if (each.destroy) each.destroy();
      else if (each.close) each.close();
    }
    http.globalAgent.destroy();
    https.globalAgent.destroy();
    https.globalAgent._sessionCache = { map: {}, list: [] };
    settle(() => done({
      log: log.map(([at, text]) => [at, masked(text)]),
      peers: peers.map(({ peer }) => (peer.connected ? peer.items : null)),
      lacks: [...world.lacking],
      waiting: world.waiting,
    }));
  });
}

/** Let what is left of a case pass. */
function settle(then, turns = 4) {
  setImmediate(() => (turns ? settle(then, turns - 1) : then()));
}

let buffered = '';
function next() {
  const piece = Buffer.alloc(65536);
  while (!buffered.includes('\n')) {
    const length = fs.readSync(0, piece, 0, piece.length);
    if (length === 0) process.exit(0);
    buffered += piece.toString('latin1', 0, length); // JSON in ASCII
  }
  const end = buffered.indexOf('\n');
  const document = JSON.parse(buffered.slice(0, end));
  buffered = buffered.slice(end + 1);
  run(document, (result) => {
    const line = Buffer.from(`${JSON.stringify(result)}\n`);
    for (let at = 0; at < line.length;) {
      try {
        at += fs.writeSync(1, line, at);
      } catch (error) {
        if (error.code !== 'EAGAIN') throw error;
      }
    }
    next();
  });
}

next();
