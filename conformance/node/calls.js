'use strict';
// What an application calls: most is one call of Node; what waits in Python is called, and goes on when everything that
// follows from it has happened, or what it waits for.

const { NotInNode, camel, options, scaled } = require('./names');

const WAITING = new Set([
  'end', 'flush_headers', 'send', 'send_eof', 'write_continue', 'write_processing',
]);

/** What has the name of an event in front. */
const OF_EVENTS = new Set([
  'emit', 'listener_count', 'off', 'on', 'once', 'prepend_listener', 'prepend_once_listener', 'remove_all_listeners',
  'remove_listener',
]);

/** Waits for nothing but that everything has happened. */
const rest = (what) => ({ what, poll: () => true });

class Calls {
  *call({ path, args, named, noted, text }, scope) {
    const method = path[path.length - 1];
    const target = scope.lookUp(path.slice(0, -1));
    const given = args.map((each) => this.value(each, scope));
    const byName = this.named(named, scope);
    if (OF_EVENTS.has(method) && given.length) given[0] = camel(given[0]);
    const special = this[`call_${method}`];
    if (noted && (method === 'write' || method === 'end')) return yield* this.calledBack(target, method, given, text);
    if (special) return yield* special.call(this, target, given, byName, text);
    if (typeof target[camel(method)] !== 'function') throw new NotInNode(method);
    if (byName.trailers) target.addTrailers(byName.trailers);
    if (byName.headers) given.push(byName.headers);
    if (byName.callback) given.push(byName.callback);
    const value = target[camel(method)](...given);
    if (WAITING.has(method)) yield* this.handedOver(target, rest(text));
    return value;
  }

  /** A call that waits ends with the error that ends its request meanwhile. */
  *handedOver(target, wait) {
    const state = this.states.get(target);
    const before = state && state.error;
    yield wait;
    if (state && state.error !== before) throw state.error;
  }

  /** `write` or `end`, until its callback. */
  *calledBack(target, method, given, text) {
    let called = false;
    const value = target[method](...given, () => { called = true; });
    yield* this.handedOver(target, { what: text, poll: () => called });
    return value;
  }

  *call_set_global_agent(target, [agent]) {
    target.globalAgent = agent;
  }

  *call_pipe(source, [destination], byName, text) {
    const value = source.pipe(destination);
    let over = value === undefined;
    destination.once('finish', () => { over = true; }).once('close', () => { over = true; });
    yield { what: text, poll: () => over || source.aborted };
    return value;
  }

  *call_write(target, given, byName, text) {
    const value = target.write(...given);
    let drained = value || target.destroyed || target.finished;
    if (!drained) target.once('drain', () => { drained = true; }).once('close', () => { drained = true; });
    const gone = () => target.socket && target.socket.destroyed;
    yield* this.handedOver(target, { what: text, poll: () => drained || gone() });
    return value;
  }

  *call_response(request, given, byName, text) {
    const state = this.states.get(request);
    yield { what: text, poll: () => state.response || state.error || state.switched };
    if (!state.response && !state.switched) throw state.error;
    return state.response;
  }

  *call_upgraded(request, given, byName, text) {
    const state = this.states.get(request);
    yield { what: text, poll: () => state.switched || state.error };
    if (!state.switched) throw state.error;
    return state.switched;
  }

  *call_read(message, given, byName, text) {
    const pieces = [];
    const state = message._readableState;
    const over = () => state.endEmitted || ((message.aborted || state.destroyed) && state.length === 0);
    const readable = () => {};
    const size = given.length && given[0] >= 0 ? given[0] : undefined;
    const more = () => {
      for (let piece; size === undefined || !pieces.length; pieces.push(piece)) {
        if ((piece = message.read(size)) === null) break;
      }
      return (size !== undefined && pieces.length > 0) || over();
    };
    if (!state.endEmitted) message.on('readable', readable);
    yield { what: text, poll: more };
    message.removeListener('readable', readable);
    return state.encoding || state.decoder ? pieces.join('') : Buffer.concat(pieces);
  }

  *call_resume(message, given, byName, text) {
    const state = message._readableState;
    const value = message.resume();
    yield { what: text, poll: () => state.endEmitted || message.aborted || state.destroyed };
    return value;
  }

  *call_receive(socket, given, byName, text) {
    let data = null;
    const state = socket._readableState;
    const readable = () => {};
    socket.on('readable', readable);
    yield { what: text, poll: () => (data = socket.read()) !== null || state.endEmitted || socket.destroyed };
    socket.removeListener('readable', readable);
    return data === null ? '' : data;
  }

  *call_close(target, given, byName, text) {
    if (!target.listen) {
      target.destroySoon();
      yield rest(text);
      return undefined;
    }
    let closed = false;
    let failure = null;
    const value = target.close((error) => {
      closed = true;
      if (byName.callback) byName.callback(error);
      else failure = error;
    });
    yield { what: text, poll: () => closed };
    if (failure) throw failure;
    return value;
  }

  *call_listen(server, given, byName, text) {
    let failure = null;
    const failed = (error) => { failure = error; };
    server.once('error', failed);
    const callback = byName.callback ? [byName.callback] : [];
    const plain = (each) => each && typeof each === 'object';
    const value = server.listen(...given.map((each) => (plain(each) ? options(each, () => {}) : each)), ...callback);
    yield { what: text, poll: () => server.listening || failure };
    server.removeListener('error', failed);
    if (failure) throw failure;
    return value;
  }

  *call_get_connections(server, given, byName, text) {
    let answer;
    server.getConnections((error, count) => {
      answer = count;
      given.forEach((each) => each(error, count));
    });
    yield { what: text, poll: () => answer !== undefined };
    return answer;
  }

  *call_create_server(module, given, byName) {
    const named = Object.keys(byName).length ? [options(byName, (what) => this.world.lacks(what))] : [];
    return module.createServer(...given, ...named);
  }

  *call_get_name(agent, [given]) {
    return agent.getName(options(given, () => {}));
  }

  *call_set_timeout(target, [seconds, ...others]) {
    return target.setTimeout(scaled('timeout', seconds), ...others);
  }

  *call_address(target) {
    const address = target.address();
    return address && typeof address === 'object' ? [address.address, address.port] : address;
  }

  *call_set_socket_keep_alive(target, [enable, delay]) {
    return target.setSocketKeepAlive(enable, scaled('timeout', delay));
  }
}

module.exports = { Calls, rest };
