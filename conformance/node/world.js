'use strict';
// Who goes on when: one step at a time, and the next one only when everything that follows from the last has happened.
//
// A flow is a generator. It yields what it waits for: `{ what, poll }`. Of those whose wait is over the application
// goes first, so a peer answers only when the application has nothing left to do. When nobody can go on, a peer that
// can no longer get what it wants goes on without, else time jumps to the next timer, else a peer that still waits for
// bytes goes on without; else the case is over.

const fs = require('fs');
const os = require('os');
const path = require('path');
const { turns } = require('./clock');
const { Log, describeError } = require('./observing');

const QUICK = 3; // turns of rest before somebody goes on
const SURE = 12; // before something is given up, or time jumps
const HORIZON = 1000e3; // virtual milliseconds
const PATIENCE = 5000; // real milliseconds for what the loop does not see: looking up names

class World {
  constructor(clock, slowness) {
    this.clock = clock;
    this.slowness = slowness;
    this.log = new Log(clock);
    this.flows = [];
    this.flags = new Set();
    this.waiting = [];
    this.lacking = new Set();
    this.paths = []; // folders of this case
    this.port = 0;
    this.over = null;
  }

  signal(name) { this.flags.add(name); }

  /** A path of this case, where there is a file, or nothing. */
  path(name, there) {
    if (!this.paths.length) this.paths.push(fs.mkdtempSync(path.join(os.tmpdir(), 'anywire-')));
    const made = path.join(this.paths[0], name);
    if (there) fs.writeFileSync(made, '');
    return made;
  }

  /** Waits for the clock. */
  sleep(seconds) {
    let over = false;
    const awake = () => { over = true; };
    if (Number(seconds) === 0) setImmediate(awake);
    else setTimeout(awake, seconds * 1000);
    return { what: `sleep ${seconds}`, poll: () => over };
  }

  /** Note something that 13.14 does not have. */
  lacks(what) { this.lacking.add(what); }

  /** Begin a flow: at once, or with the next step. */
  start(name, peer, generator, { now = false } = {}) {
    const flow = { name, peer, generator, wait: { what: 'start', poll: () => true }, done: false };
    this.flows.push(flow);
    if (now) this.step(flow, true);
    return flow;
  }

  step(flow, rethrow) {
    try {
      const { value, done } = flow.generator.next();
      flow.done = done;
      flow.wait = value;
    } catch (error) {
      flow.done = true;
      if (rethrow) throw error;
      this.uncaught(error);
    }
    if (flow.done) this.flows.splice(this.flows.indexOf(flow), 1);
  }

  /** In a process of its own Node would be gone now. */
  uncaught(error) {
    this.log.add(`uncaught ${describeError(error)}`);
    if (this.over) this.over();
  }

  /** Run until the flow `main` has ended, or nothing happens any more; then call `over`. */
  run(main, over) {
    const since = this.clock.RealDate.now();
    const stop = turns(this.clock, (quiet) => {
      if (main.done) this.over();
      return this.over !== null && this.advance(quiet / this.slowness, main, since);
    });
    this.over = () => {
      this.over = null;
      stop();
      over();
    };
  }

  advance(quiet, main, since) {
    if (quiet < QUICK) return false;
    const ready = this.flows.filter(({ wait }) => wait.poll());
    const next = ready.find(({ peer }) => !peer) || ready[0];
    if (next) {
      this.step(next);
      return true;
    }
    if (quiet < SURE) return false;
    if (this.busy() && this.clock.RealDate.now() - since < PATIENCE) return true;
    if (this.force(({ hopeless }) => hopeless && hopeless())) return true;
    if (this.clock.jump(this.clock.origin + HORIZON)) return true;
    if (this.force(({ hopeless, forced }) => hopeless || forced)) return true;
    const waiting = [main, ...this.flows.filter((flow) => flow !== main)].filter(({ wait }) => wait.what);
    this.waiting = waiting.map(({ name, wait }) => `${name}: ${wait.what}`);
    this.over();
    return true;
  }

  force(may) {
    const flow = this.flows.find(({ peer, wait }) => peer && may(wait));
    if (flow) this.step(flow);
    return flow !== undefined;
  }

  busy() {
    return process._getActiveRequests().some((each) => each.constructor.name === 'GetAddrInfoReqWrap');
  }
}

module.exports = { World };
