'use strict';
// The other side of a case: its script of bytes on a bare socket, carried out as it is as long as Node answers as the
// case says, and still carried out to its end when Node answers otherwise. What was sent and seen is written down.

const net = require('net');
const { Duplex } = require('stream');
const { agreed } = require('./secure');

const DATE = /(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/g;

/** How many records of TLS there are. */
function records(text) {
  const length = text.length < 5 ? Infinity : 5 + 256 * text.charCodeAt(3) + text.charCodeAt(4);
  return text.length < length ? 0 : 1 + records(text.slice(length));
}

class Peer {
  constructor(world, number, steps, secrets) {
    this.world = world;
    this.secrets = secrets; // of TLS, if there is any
    this.number = number;
    this.steps = steps.slice();
    this.items = []; // what is written down: [verb, bytes or flag]
    this.connected = false;
    this.done = false;
    this.ended = ''; // how Node ended the connection: 'end' (FIN) or 'cut' (RST)
    this.text = '';
    this.used = 0;
  }

  /** Connect to Node's server. `fd` is a socket whose end is a reset. */
  *connect(port, fd) {
    while (this.steps.some(({ verb }) => verb === 'connect' || verb === 'refused')) {
      const { verb, flag } = this.steps.shift();
      if (verb === 'refused') {
        yield* this.knock(port);
        return;
      }
      this.items.push([verb, flag]);
      if (verb === 'wait') yield this.flag(flag);
      if (verb === 'signal') this.world.signal(flag);
      if (verb === 'sleep') yield this.world.sleep(flag);
    }
    const given = fd === undefined ? {} : { fd, manualStart: true };
    const socket = new net.Socket({ allowHalfOpen: true, ...given });
    this.use(socket, false);
    socket.connect(port, '127.0.0.1');
    yield { what: 'connecting', poll: () => this.connected || this.ended !== '' };
    yield* this.converse();
  }

  /** Nobody should listen any more. What follows is not said on a connection. */
  *knock(port) {
    const socket = net.connect(port, '127.0.0.1');
    let answer = '';
    socket.on('connect', () => { answer = 'accepted'; }).on('error', () => { answer = 'refused'; });
    yield { what: 'connecting', poll: () => answer !== '' };
    socket.destroy();
    this.connected = true;
    this.items.push([answer, '']);
    for (const { verb, flag } of this.steps) {
      this.items.push([verb, flag]);
      this.world.signal(flag);
    }
  }

  /** Be one end of a pair, the other end of which `take` gets. */
  *inject(take) {
    const [ours, theirs] = [0, 1].map(() => new Duplex({
      read() {},
      write(data, encoding, done) { this.other.push(data); done(); },
      final(done) { this.other.push(null); done(); },
      destroy(error, done) { this.other.push(null); done(error); },
    }));
    Object.assign(ours, { other: theirs });
    Object.assign(theirs, { other: ours });
    this.steps.shift();
    this.items.push(['inject', '']);
    this.socket = ours;
    this.connected = true;
    this.listen(ours);
    take(theirs);
    yield* this.converse();
  }

  /** Be the other end of `socket`. */
  use(socket, accepted = true) {
    this.socket = socket;
    this.accepted = this.connected = accepted;
    socket.setNoDelay(true);
    socket.on('connect', () => { this.connected = true; });
    this.listen(socket);
  }

  /** `stream` is what is spoken on from now on. */
  listen(stream) {
    this.stream = stream;
    stream.on('data', (data) => { this.text += data.toString('latin1'); });
    stream.on('end', () => { this.ended = this.ended || 'end'; });
    stream.on('error', () => { this.ended = this.ended || 'cut'; });
  }

  /** What came and was not taken yet, without dates and ports. */
  get rest() {
    const port = new RegExp(`:${this.world.port}(?!\\d)`, 'g');
    return this.text.replace(DATE, '<D>').replace(port, ':PORT').slice(this.used);
  }

  take(length) {
    const data = this.rest.slice(0, length);
    this.used += data.length;
    if (data) this.items.push(['<', data]);
  }

  *converse() {
    for (const { verb, data, flag, options } of this.steps) {
      if (verb === 'want' || verb === 'packet') {
        yield this.want(data);
        this.take(this.rest.startsWith(data) ? data.length : undefined);
      } else if (verb === 'send') {
        this.items.push(['>', data]);
        this.stream.write(Buffer.from(data.replace(/PORT/g, this.world.port), 'latin1'));
        yield { what: '>', poll: () => true };
      } else if (verb === 'raw') {
        this.items.push([verb, data]);
        this.socket.write(Buffer.from(data, 'latin1'));
        yield { what: verb, poll: () => true };
      } else if (verb === 'signal') {
        this.items.push(['signal', flag]);
        this.world.signal(flag);
      } else if (verb === 'wait') {
        this.items.push(['wait', flag]);
        yield this.flag(flag);
      } else if (verb === 'sleep') {
        this.items.push(['sleep', flag]);
        yield this.world.sleep(flag);
      } else if (verb === 'eof' || verb === 'goodbye' || verb === 'fin') {
        this.items.push([verb, '']);
        if (verb === 'goodbye') this.stream.pipe.keepsOpen = true;
        (verb === 'fin' ? this.socket : this.stream).end();
        yield { what: verb, poll: () => true };
      } else if (verb === 'reset' || verb === 'close') {
        this.take();
        this.items.push([verb, '']);
        if (verb === 'close' && this.stream !== this.socket) {
          this.stream.end();
          yield { what: verb, poll: () => true };
        }
        this.socket.destroy();
        this.ended = verb;
        yield { what: verb, poll: () => true };
      } else if (verb === 'tls') {
        yield* this.encrypt(options);
      } else if (verb === 'has') {
        this.items.push([verb, `${flag} ${JSON.stringify(agreed(this.stream, flag))}`]);
      } else if (verb === 'hello') {
        yield { what: verb, poll: () => records(this.text) > 0, hopeless: () => this.ended !== '' };
        this.items.push([verb, records(this.text) === 1 ? '' : 'is missing']);
        this.used = this.text.length;
      } else if (verb === 'alert') {
        yield { what: verb, poll: () => this.ended !== '', forced: () => false };
        if (/^\x15\x03.\0\x02..$/s.test(this.rest)) this.used = this.text.length;
        this.take();
        this.items.push([this.ended === '' ? 'open' : verb, '']);
      } else if (verb !== 'bare') {
        yield { what: verb, poll: () => this.ended !== '', forced: () => false };
        this.take();
        this.items.push([this.ended === '' ? 'open' : verb === 'gone' ? 'gone' : this.ended, '']);
      }
    }
    this.take();
    this.socket.destroy();
  }

  /** Begin TLS. What a handshake came to is written down if it is not what the case says. */
  *encrypt(options) {
    const leftover = Buffer.from(this.rest, 'latin1');
    this.used += leftover.length;
    const secure = this.secrets.wrap(this.stream, leftover, options, this.accepted);
    let done = false;
    this.listen(secure);
    secure.on(this.accepted ? 'secure' : 'secureConnect', () => { done = true; });
    if (Object.keys(options).length) this.items.push(['tls', JSON.stringify(options)]);
    const failed = () => this.ended !== '';
    yield { what: 'tls', poll: () => failed() || (done && !options.refused), forced: () => false };
    if (failed() !== Boolean(options.refused)) this.items.push([failed() ? 'refused' : 'open', '']);
  }

  flag(name) {
    return { what: `wait ${name}`, poll: () => this.world.flags.has(name) };
  }

  want(data) {
    return {
      what: '<',
      poll: () => this.rest.startsWith(data),
      hopeless: () => this.ended !== '' || !data.startsWith(this.rest),
    };
  }
}

module.exports = { Peer };
