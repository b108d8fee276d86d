'use strict';
// TLS for peers, over whatever they have: what travels below is not written down.

const fs = require('fs');
const path = require('path');
const tls = require('tls');
const { Duplex } = require('stream');

/** The certificate called `name` with its key, as PEM text. */
function certificate(folder, name) {
  return fs.readFileSync(path.join(folder, `${name}.pem`), 'latin1');
}

/** Contexts and sessions of one case: peers with equal options share them. */
class Secrets {
  constructor(folder) {
    this.folder = folder;
    this.contexts = new Map();
    this.sessions = new Map();
  }

  /** TLS above `below`, which has `leftover` to be read first. */
  wrap(below, leftover, options, isServer) {
    const pipe = new Duplex({
      read() {},
      write(data, encoding, done) { below.write(data, encoding, done); },
      final(done) {
        if (!pipe.keepsOpen) below.end();
        done();
      },
    });
    below.removeAllListeners('data');
    below.on('data', (data) => pipe.push(data)).on('end', () => pipe.push(null));
    if (leftover.length) pipe.push(leftover);
    const { name, ...rest } = options;
    const key = `${isServer} ${JSON.stringify(rest)}`;
    const made = isServer ? this.server(pipe, options, key) : this.client(pipe, options, key);
    return Object.assign(made, { pipe });
  }

  context(options, isServer, key) {
    if (!this.contexts.has(key)) {
      const shown = options.certificate || (isServer ? 'localhost' : null);
      const pem = shown && certificate(this.folder, shown);
      this.contexts.set(key, tls.createSecureContext({
        ...(isServer && !options.ask ? {} : { ca: certificate(this.folder, options.ask || 'authority') }),
        ...(pem ? { cert: pem, key: pem } : {}),
        ...(options.version ? { minVersion: options.version, maxVersion: options.version } : {}),
      }));
    }
    return this.contexts.get(key);
  }

  server(pipe, options, key) {
    const alpn = {};
    if (options.alpn) tls.convertALPNProtocols(options.alpn, alpn);
    return new tls.TLSSocket(pipe, {
      isServer: true,
      secureContext: this.context(options, true, key),
      requestCert: 'ask' in options,
      rejectUnauthorized: false,
      ...alpn,
    });
  }

  client(pipe, options, key) {
    const name = 'name' in options ? options.name : 'localhost';
    const socket = tls.connect({
      socket: pipe,
      secureContext: this.context(options, false, key),
      servername: name || '',
      session: this.sessions.get(key),
      ...(options.alpn ? { ALPNProtocols: options.alpn } : {}),
      ...(name === null ? { checkServerIdentity() {} } : {}),
    });
    socket.on('session', (session) => this.sessions.set(key, session));
    return socket;
  }
}

/** What was agreed upon. */
function agreed(socket, what) {
  if (what === 'alpn') return socket.alpnProtocol || null;
  if (what === 'resumed') return socket.isSessionReused();
  if (what === 'server_name') return socket.servername || null;
  if (what === 'version') return socket.getProtocol();
  const { subject } = socket.getPeerCertificate() || {};
  return subject ? subject.CN : null;
}

module.exports = { Secrets, agreed, certificate };
