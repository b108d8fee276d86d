'use strict';
// The event log, in the same words as anywire/conformance/observing.py.

const LONGEST = 200;

/** A number of seconds, which Python shows as a float. */
class Seconds {
  constructor(milliseconds) { this.value = milliseconds / 1000; }
}

function quoted(text) {
  if (text.length > LONGEST) text = `${text.slice(0, 20)}... (${text.length})`;
  const escape = (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, escape);
}

/** A value as Python's json writes it. */
function shown(value) {
  if (value === undefined || value === null) return 'null';
  if (value instanceof Seconds) return Number.isInteger(value.value) ? `${value.value}.0` : String(value.value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Uint8Array) return quoted(Buffer.from(value).toString('latin1'));
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (typeof value === 'function') return '"<type>"';
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return '"<object>"';
  return `{${Object.keys(value).map((name) => `${quoted(name)}: ${shown(value[name])}`).join(', ')}}`;
}

/** `CODE: message`. */
function describeError(error) {
  return `${error.code || error.name}: ${error.message.replace(/^\d+:error:/, 'error:')}`; // OpenSSL's begin with a thread
}

/** An event and those of its arguments that can be told in words. */
function describeEvent(event, args) {
  const words = [event];
  for (const value of args) {
    if (value instanceof Error) words.push(describeError(value));
    else if (typeof value === 'string' || value instanceof Uint8Array) words.push(shown(value));
    else if (value && value.statusCode != null && !value.writeHead) words.push(String(value.statusCode));
    else if (value && value.url) words.push(`${value.method} ${value.url}`);
  }
  return words.join(' ');
}

const PLAIN = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
function oneLine(text) {
  return text.replace(/[^ -~]/g, (each) => PLAIN[each] || `\\x${each.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Lines in the order in which they happened. */
class Log {
  constructor(clock) {
    this.clock = clock;
    this.entries = [];
    this.frozen = false;
  }

  /** Write a line; `piece` is the data of a `data` event. */
  add(text, piece) {
    if (!this.frozen) this.entries.push({ at: this.clock.seconds, text, piece });
  }

  /** Does a line begin with these words? */
  has(start) {
    const begins = (text) => text === start || text.startsWith(`${start} `) || text.startsWith(`${start}:`);
    return this.entries.some(({ text }) => begins(text));
  }

  /** The log as [seconds, text]; consecutive data of one message are one line. */
  lines(separate) {
    const merged = [];
    for (const { at, text, piece } of this.entries) {
      const last = merged[merged.length - 1];
      const data = piece === undefined ? undefined : typeof piece === 'string' ? piece : piece.toString('latin1');
      if (data !== undefined && last && last.text === text && !separate) last.data += data;
      else merged.push({ at, text, data });
    }
    return merged.map(({ at, text, data }) => [at, oneLine(data === undefined ? text : `${text} ${shown(data)}`)]);
  }
}

module.exports = { Log, Seconds, describeError, describeEvent, shown };
