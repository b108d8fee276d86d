'use strict';
// Parser cases: what Node's server makes of the bytes of a client, and its client of those of a server. Told as far as
// it can be seen from outside, message by message: what the parser said of the framing cannot.

const http = require('http');
const net = require('net');
const { describeError } = require('./observing');
const { rest } = require('./calls');

const hex = (each) => `\\x${each.charCodeAt(0).toString(16).padStart(2, '0')}`;
const NAMED = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const escaped = (text) => text.replace(/[^ -[\]-~]| $/g, (each) => NAMED[each] || hex(each));
const target = (text) => text.replace(/[^ -~]/g, (each) => NAMED[each] || hex(each));
const after = (text) => (text ? ` ${escaped(text)}` : '');

class Messages {
  constructor() {
    this.blocks = [];
  }

  /** A message: its first line, and what follows as it comes. */
  add(line, message, { live = true } = {}) {
    const block = { lines: [line], body: '', message };
    for (let at = 0; at < message.rawHeaders.length; at += 2) {
      block.lines.push(`field ${message.rawHeaders[at]}:${after(message.rawHeaders[at + 1])}`);
    }
    this.blocks.push(block);
    if (live) message.on('data', (data) => { block.body += data.toString('latin1'); });
    return block;
  }

  lines() {
    const lines = [];
    for (const { lines: head, body, message, rest: behind } of this.blocks) {
      lines.push(...head);
      if (behind !== undefined) {
        lines.push(`rest ${behind}`);
        continue;
      }
      if (body) lines.push(`body ${body}`);
      const { rawTrailers } = message;
      for (let at = 0; at < rawTrailers.length; at += 2) {
        lines.push(`trailer ${rawTrailers[at]}:${after(rawTrailers[at + 1])}`);
      }
      if (message.complete) lines.push('end');
      if (message.aborted) lines.push('aborted');
    }
    return lines;
  }
}

function failure(error) {
  return error.code && error.code.startsWith('HPE_') ? `error ${error.code} at ${error.bytesParsed}: ${error.reason}`
    : `error ${describeError(error)}`;
}

/** Feed a server. */
function* requests(world, { input, eof, lenient, limits, rest: wantsRest }) {
  const messages = new Messages();
  const errors = [];
  const server = http.createServer({ insecureHTTPParser: lenient, maxHeaderSize: limits.max_header_size });
  if ('max_headers_count' in limits) server.maxHeadersCount = limits.max_headers_count;
  const begin = (word) => (req, res) => {
    const words = [`request ${req.method} ${target(req.url)} HTTP/${req.httpVersion}`];
    if (res.shouldKeepAlive) words.push('keep-alive');
    if (word) words.push(word);
    if (res.useChunkedEncodingByDefault) words.push('chunked-ok');
    messages.add(words.join(' '), req);
  };
  server.on('request', begin(''));
  server.on('checkContinue', begin('expect-continue'));
  server.on('checkExpectation', begin('expect-other'));
  const connect = (data) => {
    const socket = net.connect({ port: server.address().port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('data', (piece) => { answer += piece.toString('latin1'); }).on('error', () => {});
    socket.write(data);
    return socket;
  };
  let answer = '';
  for (const event of wantsRest ? ['upgrade', 'connect'] : ['connect']) {
    server.on(event, (req, socket, head) => {
      const line = `request ${req.method} ${target(req.url)} HTTP/${req.httpVersion}`;
      const block = messages.add(line, req, { live: false });
      if (wantsRest) block.rest = head.toString('latin1');
      else connect(head); // a CONNECT is the last request of its connection; what follows has another
    });
  }
  const { emit } = server;
  server.emit = (event, ...args) => { // a listener would keep the server from answering
    if (event === 'clientError') errors.push(failure(args[0]));
    return emit.call(server, event, ...args);
  };
  server.listen(0, '127.0.0.1');
  yield rest('listen');
  const peer = connect(Buffer.from(input, 'latin1'));
  yield rest('input');
  if (eof) peer.end();
  yield rest('eof');
  const status = /^HTTP\/1.1 (\d+)/.exec(answer);
  return [...messages.lines(), ...errors.map((line) => (status ? line.replace(': ', `, ${status[1]}: `) : line))];
}

/** Feed a client: whole, or if more responses are expected byte by byte, for each answers a request of its own. */
function* responses(world, { input, eof, lenient, limits, method, rest: wantsRest, responses: count }) {
  const messages = new Messages();
  const errors = [];
  const sockets = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => {}).resume();
    sockets.push(socket);
  });
  server.listen(0, '127.0.0.1');
  yield rest('listen');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let made = 0; made < count; made++) {
    const request = http.request({
      host: '127.0.0.1', port: server.address().port, method: method || 'GET', agent,
      insecureHTTPParser: lenient, maxHeaderSize: limits.max_header_size,
    });
    if ('max_headers_count' in limits) request.maxHeadersCount = limits.max_headers_count;
    const begin = (live) => (res, socket, head) => {
      const alive = live && request.shouldKeepAlive ? ' keep-alive' : '';
      const line = `response ${res.statusCode} HTTP/${res.httpVersion}${alive}:${after(res.statusMessage)}`;
      const block = messages.add(line, res, { live });
      if (!live) block.rest = head.toString('latin1');
    };
    request.on('response', begin(true));
    if (wantsRest) request.on('connect', begin(false)).on('upgrade', begin(false));
    request.on('information', (info) => {
      messages.add(`response ${info.statusCode} HTTP/${info.httpVersion}:${after(info.statusMessage)}`,
        { rawHeaders: info.rawHeaders, rawTrailers: [], complete: true }, { live: false });
    });
    request.on('error', (error) => { errors.push(failure(error)); });
    request.end();
  }
  yield rest('connect');
  const pieces = count > 1 ? [...input] : [input];
  for (const piece of pieces) {
    sockets[0].write(Buffer.from(piece, 'latin1'));
    yield rest('input');
  }
  if (eof) sockets[0].end();
  yield rest('eof');
  return [...messages.lines(), ...errors.slice(0, 1)];
}

module.exports = { requests, responses };
