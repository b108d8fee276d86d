'use strict';
// Names of the language of cases (Node's in snake_case, seconds) and what they are in Node (milliseconds).

const { Seconds } = require('./observing');

const DURATIONS = new Set(['headersTimeout', 'keepAliveMsecs', 'keepAliveTimeout', 'requestTimeout', 'timeout']);
const SPECIAL = {
  default_max_sockets: 'defaultMaxSockets',
  end_nowait: 'end',
  incoming_message_class: 'IncomingMessage',
  insecure_http_parser: 'insecureHTTPParser',
  keep_alive_delay: 'keepAliveMsecs',
  send: 'write',
  send_eof: 'end',
  server_response_class: 'ServerResponse',
  write_nowait: 'write',
};
// Options that 13.14 does not have, and of a server those that are attributes.
const LATER = new Set([
  'maxDrain', 'maxRequestsPerSocket', 'maxTotalSockets', 'replay', 'requestTimeout', 'scheduling', 'signal',
]);
const SERVER_ATTRIBUTES = new Set([
  'headersTimeout', 'httpAllowHalfOpen', 'keepAliveTimeout', 'maxConnections', 'maxHeadersCount', 'timeout',
]);
const UNSET = new Set(['maxConnections', 'maxHeadersCount', 'remoteAddress', 'timeout']); // not there before somebody sets them

/** Something that Node 13.14 has no word for. */
class NotInNode extends Error {}

function camel(name) {
  if (name in SPECIAL) return SPECIAL[name];
  if (name === name.toUpperCase()) return name;
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

/** What `name` of `owner` is. */
function read(owner, name) {
  const key = camel(name);
  if (key === 'defaultMaxSockets') owner = owner.constructor;
  if (!(key in Object(owner)) && !UNSET.has(key)) throw new NotInNode(name);
  const value = owner[key];
  return DURATIONS.has(key) && typeof value === 'number' ? new Seconds(value) : value;
}

/** Set `name` of `owner`. */
function write(owner, name, value) {
  const key = camel(name);
  if (!(key in Object(owner)) && !UNSET.has(key)) throw new NotInNode(name);
  try {
    owner[key] = scaled(key, value);
  } catch (error) {
    const ours = error instanceof TypeError && !error.code && key !== 'maxHeaderSize'; // a property of Python's
    throw ours ? Object.assign(error, { code: 'AttributeError' }) : error;
  }
}

function scaled(key, value) {
  return DURATIONS.has(key) && typeof value === 'number' ? value * 1000 : value;
}

/** Options in Node's names; what 13.14 does not know is told to `lacks`. */
function options(given, lacks) {
  const made = {};
  for (const name of Object.keys(given)) {
    const key = camel(name);
    if (LATER.has(key)) lacks(`option ${name}`);
    else made[key] = scaled(key, given[name]);
  }
  return made;
}

module.exports = { NotInNode, SERVER_ATTRIBUTES, camel, options, read, scaled, write };
