'use strict';
// Rest and time.
//
// Everything here runs in one process on one loop: Node's http, the application of a case, and its peers. So it can be
// told when nothing more happens by itself: some turns of the loop in which no callback ran. Only then does the next
// step of anybody follow, and only when there is no next step does time go on, to the moment when the next of Node's
// timers is due. Recording is therefore quick, and says the same each time.
//
// Node's own timers are made older instead of waiting for them (`--expose-internals`): between two jumps no time passes
// for them, however long the turns take.

const hooks = require('async_hooks');
const { timerListMap, timerListQueue } = require('internal/timers');
const { internalBinding } = require('internal/test/binding');
const { getLibuvNow, scheduleTimer } = internalBinding('timers');

const born = Symbol('born');
const held = Symbol('held');
const nap = new Int32Array(new SharedArrayBuffer(4));

let callbacks = 0;
hooks.createHook({ before() { callbacks++; } }).enable();

/** A clock that stands still until it is told to jump, in milliseconds. */
class Clock {
  constructor() {
    this.now = 0; // never set back, for timers may outlive a case
    this.origin = 0;
    this.start = Date.now();
    const clock = this;
    const RealDate = clock.RealDate = global.Date;
    global.Date = class extends RealDate { // Node measures heads with dates
      constructor(...args) {
        if (args.length) super(...args);
        else super(clock.start + clock.now);
      }
      static now() { return clock.start + clock.now; }
    };
  }

  /** Count from here. */
  reset() {
    this.origin = this.now;
  }

  /** Seconds since then. */
  get seconds() {
    return (this.now - this.origin) / 1000;
  }

  /** Undo the time that really passed for every timer; returns the times at which timers are due. */
  hold() {
    const now = getLibuvNow();
    const due = [];
    for (const list of Object.values(timerListMap)) {
      for (let timer = list._idlePrev; timer !== list; timer = timer._idlePrev) {
        if (timer[held] !== timer._idleStart) timer[born] = this.now;
        timer._idleStart = timer[held] = now - (this.now - timer[born]);
        if (timer._onTimeout && timer._onTimeout.name !== 'resetCache') due.push(timer[born] + list.msecs);
      }
      if (list._idlePrev !== list) list.expiry = list._idlePrev._idleStart + list.msecs;
    }
    const lists = [];
    for (let list; (list = timerListQueue.shift()) !== undefined;) lists.push(list);
    for (const list of lists) timerListQueue.insert(list);
    return due;
  }

  /** Go on to when the next timer is due, unless that is after `limit`; false if there is none. */
  jump(limit) {
    const due = Math.min(...this.hold());
    if (!(due <= limit)) return false;
    this.now = Math.max(due, this.now);
    this.hold();
    scheduleTimer(1);
    return true;
  }
}

/** Tells after each turn of the loop for how many turns nothing has happened. */
function turns(clock, tick) {
  let quiet = 0;
  let running = true;
  const turn = () => {
    if (!running) return;
    quiet = callbacks > 1 ? 0 : quiet + 1; // this turn's own callback is one
    callbacks = 0;
    if (quiet) Atomics.wait(nap, 0, 0, 1);
    clock.hold();
    if (tick(quiet)) quiet = 0;
    setImmediate(turn);
  };
  callbacks = 0;
  setImmediate(turn);
  return () => { running = false; };
}

module.exports = { Clock, turns };
