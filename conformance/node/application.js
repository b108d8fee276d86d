'use strict';
// The interpreter of `app` blocks on Node's http; the counterpart of anywire/conformance/application.py.
//
// What waits in Python is carried out at once here, and the flow goes on when everything that follows from it has
// happened (see world.js).

const net = require('net');
const { Calls, rest } = require('./calls');
const { NotInNode, SERVER_ATTRIBUTES, camel, options, read, write } = require('./names');
const { describeError, describeEvent, shown } = require('./observing');
const { certificate } = require('./secure');
const { Stream, sink, unresolved } = require('./things');

const HOOKS = new Set(['request', 'check_continue', 'check_expectation', 'connect', 'upgrade', 'client_error']);
const SWITCHES = new Set(['connect', 'upgrade']);
const ARGUMENTS = {
  check_continue: ['req', 'res'],
  check_expectation: ['req', 'res'],
  client_error: ['error', 'socket'],
  connection: ['socket'],
  data: ['chunk'],
  drop: ['info'],
  error: ['error'],
  free: ['socket'],
  information: ['info'],
  request: ['req', 'res'],
  response: ['res'],
  socket: ['socket'],
  timeout: ['socket'],
};
const GLOBAL_AGENTS = new Map(); // what each module began with
const GIVEN = Symbol('given'); // marks a mapping of options that is passed as it is
const ADDRESS = ['host', 'hostname', 'port', 'socket_path', 'create_connection'];
class Scope {
  constructor(names, labels) {
    this.names = names;
    this.labels = labels;
  }

  inner(names, labels) {
    return new Scope({ ...this.names, ...names }, { ...this.labels, ...labels });
  }

  lookUp(path) {
    if (!(path[0] in this.names)) throw new Error(`nothing is called ${path[0]}`);
    return path.slice(1).reduce(read, this.names[path[0]]);
  }

  label(path) {
    return [this.labels[path[0]] || path[0], ...path.slice(1)].join('.');
  }
}

/** Carry out what may not wait. */
function atOnce(flow) {
  let step = flow.next();
  for (; !step.done; step = flow.next()) {
    if (!step.value.poll()) throw new Error(`${step.value.what} waits where nothing may wait`);
  }
  return step.value;
}

class Application extends Calls {
  constructor(world, program, modules, folder) {
    super();
    this.world = world;
    this.program = program;
    this.functions = new Map();
    this.log = world.log;
    this.modules = modules;
    this.module = 'https' in modules ? 'https' : 'http';
    this.folder = folder; // of certificates
    this.scope = new Scope({ ...modules }, {});
    for (const module of Object.values(modules)) { // a case may have set another one
      if (!GLOBAL_AGENTS.has(module)) GLOBAL_AGENTS.set(module, module.globalAgent);
      module.globalAgent = GLOBAL_AGENTS.get(module);
    }
    this.requests = [];
    this.agents = [];
    this.tasks = {};
    this.pending = [];
    this.states = new Map(); // of requests
    this.dispatched = 0;
    this.handling = 0;
    this.listen = null;
    const beside = [...Object.values(program.tasks), ...Object.values(program.functions || {})];
    const sections = [program.main, ...program.hooks, ...program.observers, ...beside];
    const operations = sections.flatMap((section) => section.operations);
    const paths = operations.map(({ path }) => path);
    this.answered = new Set(paths.filter((path) => path[1] === 'response' || path[1] === 'res').map((path) => path[0]));
    this.switching = new Set(program.observers.map(({ words }) => words.join(' ')));
    for (const path of paths.filter((each) => each[1] === 'upgraded')) {
      for (const event of SWITCHES) this.switching.add(`${path[0]} ${event}`);
    }
  }

  // ---------------------------------------------------------------- operations

  *perform(section, scope) {
    for (const [index, operation] of section.operations.entries()) {
      const next = section.operations[index + 1];
      operation.noted = next !== undefined && next.verb === 'note'; // which stands in its callback
      if (operation.verb !== 'watch') this.attachPending();
      if (operation.verb === 'return') return this.value(operation.args[0], scope);
      const text = this.relabelled(operation, scope);
      let value;
      try {
        value = yield* this.evaluate(operation, scope);
      } catch (error) {
        if (error instanceof NotInNode) {
          this.world.lacks(text);
          if (operation.mode !== '') this.log.add(`${text} not in Node`);
        } else if (operation.mode === 'try') {
          this.log.add(`${text} throws ${describeError(error)}`);
        } else {
          throw error;
        }
        continue;
      }
      if (operation.mode === 'show') {
        const itself = operation.verb === 'call' && value === scope.lookUp(operation.path.slice(0, -1));
        this.log.add(`${text} -> ${itself ? 'itself' : shown(value)}`);
      } else if (operation.mode === 'try') {
        this.log.add(`${text} ok`);
      }
    }
    this.attachPending();
    return undefined;
  }

  attachPending() {
    const pending = this.pending;
    this.pending = [];
    for (const attach of pending) attach();
  }

  relabelled({ verb, path, name, text }, scope) {
    const label = (verb === 'call' || verb === 'read') && !name && scope.labels[path[0]];
    return label ? label + text.slice(path[0].length) : text;
  }

  *evaluate(operation, scope) {
    const { verb, path, args, name } = operation;
    if (verb === 'read') {
      const found = scope.lookUp(path);
      if (name) {
        this.name(name, found, scope);
        this.observeMade(name, found);
      }
      return found;
    }
    if (verb === 'set') {
      write(scope.lookUp(path.slice(0, -1)), path[path.length - 1], this.value(args[0], scope));
      return undefined;
    }
    if (verb === 'call') {
      const value = yield* this.call(operation, scope);
      if (name) {
        this.name(name, value, scope);
        this.observeMade(name, value);
      }
      return value;
    }
    if (verb === 'request' || verb === 'get') return this.request(operation, scope);
    if (verb === 'agent') return this.agent(operation, scope);
    if (verb === 'options') {
      const [own, inherited] = args.map((each) => this.value(each, scope));
      const given = Object.defineProperty({ ...own }, GIVEN, { value: true });
      return this.name(name, args.length > 1 ? Object.setPrototypeOf(given, inherited) : given, scope);
    }
    if (verb === 'sink') return this.name(name, sink(), scope);
    if (verb === 'standalone') {
      const given = options(this.value(args[0]), () => {});
      return this.name(name, new this.modules.http.ServerResponse(given), scope);
    }
    if (verb === 'throw') throw this.value(args[0], scope);
    if (verb === 'connect') {
      const agent = path.length ? scope.lookUp(path) : null;
      const own = agent && Object.getPrototypeOf(agent).createConnection;
      const made = agent ? own.call(agent, scope.lookUp(['options'])) : net.connect(this.world.port, '127.0.0.1');
      this.name(name, made, scope);
      yield rest(operation.text);
      return made;
    }
    if (verb === 'duplex') return this.name(name, new Stream(net.connect(this.world.port, '127.0.0.1'), this.log, name), scope);
    if (verb === 'delegate') {
      const agent = args[0] && scope.lookUp([args[0]]);
      const { log } = this;
      return this.name(name, {
        addRequest(request, given) {
          log.add(`${name} add_request ${request.method} ${request.path}`);
          if (agent) agent.addRequest(request, given);
        },
      }, scope);
    }
    const label = scope.label(path);
    if (verb === 'same') {
      const other = args[0].split('.');
      this.log.add(`${label} is ${scope.lookUp(path) === scope.lookUp(other) ? '' : 'not '}${scope.label(other)}`);
    } else if (verb === 'watch') {
      for (const event of args) this.whenThere(path, scope, (target) => this.watch(target, label, event));
    } else if (verb === 'until') {
      const start = [label, ...args].join(' ');
      yield { what: operation.text, poll: () => this.log.has(start) };
    } else if (verb === 'note') {
      this.log.add(['note', ...args].join(' '));
    } else if (verb === 'count') {
      const agent = scope.lookUp(path);
      const maps = [agent.sockets, agent.freeSockets, agent.requests];
      const [used, free, queued] = maps.map((map) => Object.values(map).flat());
      this.log.add(`${label} sockets ${used.length}, free ${free.length}, requests ${queued.length}`);
    } else if (verb === 'signal') {
      args.forEach((each) => this.world.signal(each));
    } else if (verb === 'wait') {
      for (const each of args) yield { what: `wait ${each}`, poll: () => this.world.flags.has(each) };
    } else if (verb === 'start') {
      for (const each of args) {
        this.tasks[each] = this.world.start(`task ${each}`, false, this.perform(this.program.tasks[each], this.scope));
      }
    } else if (verb === 'join') {
      yield* this.join(args.length ? args : Object.keys(this.tasks));
    } else if (verb === 'listen') {
      const { callback } = this.named(operation.named, scope);
      yield* this.listen(...args.map((each) => this.value(each, scope)), ...(callback ? [callback] : []));
    } else if (verb === 'sleep') {
      yield this.world.sleep(args[0]);
    } else if (verb === 'most') {
      const value = scope.lookUp(path);
      this.log.add(value <= Number(args[0]) ? `${label} at most ${args[0]}` : `${label} is ${value}`);
    } else if (verb === 'option') {
      this.log.add(`${label} option ${args[0]} not in Node`);
    } else if (verb === 'leave') {
      yield* this.call_resume(this.states.get(scope.lookUp(path)).response, [], {}, operation.text);
    } else {
      throw new NotInNode(verb);
    }
    return undefined;
  }

  *join(names) {
    for (const each of names) {
      const flow = this.tasks[each];
      delete this.tasks[each];
      yield { what: `join ${each}`, poll: () => flow.done };
    }
  }

  name(name, value, scope) {
    scope.names[name] = value;
    this.scope.names[name] = value;
  }

  /** Whoever does not say whom it trusts trusts the authority of the suite. */
  trusting(module, asked) {
    const { ca, ...others } = asked;
    if ('ca' in asked) return ca === undefined ? others : asked; // to Node an undefined one is one, too
    const says = module === 'http' || 'reject_unauthorized' in asked;
    return says ? asked : { ...asked, ca: certificate(this.folder, 'authority') };
  }

  request({ verb, path, args, named, name }, scope) {
    const given = args.map((each) => this.value(each, scope));
    const plain = (each) => typeof each === 'object' && each !== null && !Array.isArray(each) && !each[GIVEN];
    const callbacks = given.filter((each) => typeof each === 'function');
    const urls = given.filter((each) => !plain(each) && typeof each !== 'function');
    let asked = Object.assign({}, ...given.filter(plain), this.named(named));
    if (!urls.length && !ADDRESS.some((each) => each in asked)) {
      asked = { ...asked, host: '127.0.0.1', port: this.world.port };
    }
    if (typeof asked.agent === 'string') asked.agent = scope.lookUp([asked.agent]);
    const module = path[0] || this.module;
    if (asked.agent === undefined || asked.agent === false) asked = this.trusting(module, asked);
    const made = options(asked, (what) => this.world.lacks(what));
    if (!(urls[0] && urls[0][GIVEN])) urls.push(made);
    const request = this.modules[module][verb](...urls, ...callbacks);
    if ('maxHeadersCount' in made) request.maxHeadersCount = made.maxHeadersCount;
    this.track(request, name);
    if (name) {
      this.name(name, request, scope);
      this.observeMade(name, request);
    }
    return request;
  }

  agent({ path, args, named, name }, scope) {
    const module = path[0] || this.module;
    const asked = this.trusting(module, { ...(args.length ? this.value(args[0]) : {}), ...this.named(named) });
    const agent = new this.modules[module].Agent(options(asked, (what) => this.world.lacks(what)));
    this.agents.push(agent);
    if (name) {
      this.name(name, agent, scope);
      this.observeMade(name, agent);
    }
    return agent;
  }

  // ---------------------------------------------------------------- values

  value(value, scope = this.scope) {
    if (typeof value === 'string') return value === 'PORT' ? this.world.port : value.replace(/PORT/g, this.world.port);
    if (Array.isArray(value)) return value.map((each) => this.value(each, scope));
    if (value === null) return undefined; // Python's None
    if (typeof value !== 'object') return value;
    if ('$bytes' in value) return Buffer.from(value.$bytes, 'latin1');
    if ('$repeat' in value) return value.$repeat[0].repeat(value.$repeat[1]);
    if ('$inf' in value) return Infinity;
    if ('$error' in value) return Object.assign(new Error(value.$error[1]), { code: value.$error[0] });
    if ('$pem' in value) return certificate(this.folder, value.$pem);
    if ('$subclass' in value) return this.subclass(value.$subclass);
    if ('$note' in value) return (...args) => this.log.add(this.noted(value.$note, args));
    if ('$never' in value) return () => {};
    if ('$unresolved' in value) return unresolved;
    if ('$gives' in value) return () => scope.lookUp(value.$gives.split('.'));
    if ('$function' in value) return this.function(value.$function);
    if ('$name' in value) return scope.lookUp(value.$name.split('.'));
    if ('$path' in value) return this.world.path(value.$path, false);
    if ('$file' in value) return this.world.path(value.$file, true);
    return this.named(value, scope);
  }

  /** What a section is to whoever calls it: an `async` one tells its callback. */
  /** The same each time, so it can be removed from where it listens. */
  function(name) {
    if (!this.functions.has(name)) this.functions.set(name, this.made(this.program.functions[name]));
    return this.functions.get(name);
  }

  made({ kind, words, operations }) {
    const inside = (args) => this.scope.inner(Object.fromEntries(words.slice(1).map((name, index) => [name, args[index]])), {});
    if (kind === 'function') return (...args) => atOnce(this.perform({ operations }, inside(args)));
    return (...args) => {
      const callback = args.pop();
      const self = this;
      const flow = (function* call() {
        let value;
        try {
          value = yield* self.perform({ operations }, inside(args));
        } catch (error) {
          callback(error);
          return;
        }
        callback(null, value, 4); // of a lookup: the family
      }());
      this.world.start(words[0], false, flow, { now: true });
    };
  }

  subclass(name) {
    const { log } = this;
    return class extends this.modules[this.module][name] {
      constructor(...args) {
        super(...args);
        log.add(`note a ${name} is made`);
      }
    };
  }

  noted(words, args) {
    return [describeEvent(`note ${words}`, args), ...args.filter(Number.isInteger)].join(' ');
  }

  named(values, scope = this.scope) {
    const entries = Object.entries(values).map(([name, each]) => [this.value(name), this.value(each, scope)]);
    return Object.fromEntries(entries);
  }

  // ---------------------------------------------------------------- observers

  /** Note what becomes of a request, without a listener that the case has not asked for, as far as Node cares. */
  track(request, name) {
    const state = { response: null, error: null, switched: null };
    this.states.set(request, state);
    this.requests.push(request);
    request.on('error', (error) => { state.error = state.error || error; });
    if (this.answered.has(name)) request.on('response', (res) => { state.response = res; });
    for (const event of SWITCHES) {
      if (this.switching.has(`${name} ${event}`)) request.on(event, (...args) => { state.switched = args; });
    }
  }

  watch(target, label, event) {
    const seen = (...args) => this.log.add(`${label} ${describeEvent(event, args)}`);
    if (event !== 'data' && event !== 'readable') {
      target.prependListener(camel(event), seen); // when it is emitted, before Node itself acts on it
      return;
    }
    const emit = target.emit; // a listener would start the flow
    target.emit = (name, ...args) => {
      if (name === event) event === 'data' ? this.log.add(`${label} data`, args[0]) : seen();
      return emit.call(target, name, ...args);
    };
  }

  whenThere(path, scope, use) {
    const target = scope.lookUp(path);
    const last = path[path.length - 1];
    if (target == null && (last === 'res' || last === 'socket')) {
      scope.lookUp(path.slice(0, -1)).once(last === 'res' ? 'response' : 'socket', use);
    } else {
      use(target);
    }
  }

  observeMade(name, made) {
    for (const section of this.program.observers) {
      const path = section.words[0].split('.');
      if (path[0] !== name) continue;
      const scope = this.scope.inner({ [name]: made }, {});
      this.pending.push(() => this.whenThere(path, scope, (target) => this.observe(target, section, scope)));
    }
  }

  observe(target, section, scope) {
    const [path, event] = section.words;
    const label = scope.label(path.split('.'));
    const switches = SWITCHES.has(event);
    const names = switches ? ['res', 'socket', 'head'] : ARGUMENTS[event] || [];
    target.on(camel(event), (...args) => {
      const given = {};
      const labels = {};
      names.slice(0, args.length).forEach((each, index) => {
        given[each] = args[index];
        labels[each] = `${label}.${each}`;
      });
      const flow = this.perform(section, scope.inner(given, labels));
      if (switches) {
        this.world.start(`on ${section.words.join(' ')}`, false, flow, { now: true });
        return;
      }
      atOnce(flow);
    });
  }

  // ---------------------------------------------------------------- a server

  server() {
    const given = options(this.named(this.program.server), (what) => this.world.lacks(what));
    const attributes = {};
    for (const key of Object.keys(given)) {
      if (!SERVER_ATTRIBUTES.has(key)) continue;
      attributes[key] = given[key];
      delete given[key];
    }
    if (this.module === 'https' && !('cert' in given)) given.cert = given.key = certificate(this.folder, 'localhost');
    const server = Object.assign(this.modules[this.module].createServer(given), attributes);
    this.scope.names.server = server;
    for (const event of new Set(this.program.hooks.map(({ words }) => words[0]))) {
      const sections = this.program.hooks.filter(({ words }) => words[0] === event);
      if (HOOKS.has(event)) {
        this.pending.push(() => server.on(camel(event), this.handler(event, sections)));
      } else {
        for (const { operations } of sections) {
          this.pending.push(() => this.observe(server, { words: ['server', event], operations }, this.scope));
        }
      }
    }
    return server;
  }

  handler(event, sections) {
    const names = ARGUMENTS[event] || ['req', 'socket', 'head'];
    return (...args) => {
      const scope = this.entered(Object.fromEntries(names.map((name, index) => [name, args[index]])));
      const section = sections.find(({ words }) => words.length === 1 || words[1] === args[0].url);
      if (!section) throw new Error(`nothing handles ${event} ${args[0].url}`);
      this.handling++;
      const self = this;
      const flow = (function* handle() {
        yield* self.perform(section, scope);
        self.handling--;
      }());
      this.world.start(`on ${section.words.join(' ')}`, false, flow, { now: true });
    };
  }

  entered(given) {
    const labels = {};
    if ('req' in given) {
      this.dispatched++;
      for (const name of Object.keys(given)) labels[name] = this.dispatched === 1 ? name : `${name}${this.dispatched}`;
    }
    const scope = this.scope.inner(given, labels);
    for (const section of this.program.observers) {
      const path = section.words[0].split('.');
      if (path[0] in given) this.pending.push(() => this.observe(scope.lookUp(path), section, scope));
    }
    return scope;
  }
}

module.exports = { Application };
