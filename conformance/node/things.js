'use strict';
// What a case hands to the application beside plain values; the counterpart of anywire/conformance/things.py.

const { Duplex, Writable } = require('stream');
const { Seconds, shown } = require('./observing');

/** Something to write to, which keeps it. */
function sink() {
  const made = new Writable({
    write(data, encoding, done) {
      this.text += data.toString('latin1');
      done();
    },
  });
  return Object.assign(made, { text: '' });
}

function unresolved(host, asked, callback) {
  process.nextTick(callback, Object.assign(new Error(`nobody is called ${host}`), { code: 'ENOTFOUND' }));
}

/** A connection that is no socket. */
class Stream extends Duplex {
  constructor(socket, log, name) {
    super({ allowHalfOpen: true });
    this.inner = socket;
    this.log = log;
    this.name = name;
    socket.on('data', (data) => { if (!this.push(data)) socket.pause(); });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  _read() { this.inner.resume(); }

  _write(data, encoding, done) { this.inner.write(data, encoding, done); }

  _final(done) { this.inner.end(done); }

  _destroy(error, done) {
    this.inner.destroy();
    done(error);
  }

  setKeepAlive(enable, milliseconds) {
    this.log.add(`${this.name} set_keep_alive ${shown(enable)} ${shown(new Seconds(milliseconds))}`);
  }

  destroySoon() { this.end(() => this.destroy()); }

  setTimeout(milliseconds, callback) {
    this.inner.setTimeout(milliseconds, () => this.emit('timeout'));
    if (callback) this.once('timeout', callback);
    return this;
  }

  ref() { return this; }

  unref() { return this; }
}

module.exports = { Stream, sink, unresolved };
