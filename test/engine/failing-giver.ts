/** A running engine that fails: gives an empty state, and ends when the new one is ready, without letting it start. */

import { Channel } from '../../src/engine/handover-channel.ts';
import { encodeState } from '../../src/engine/handover-codec.ts';
import { linuxAddon } from '../../src/linux/addon.ts';

const [path = ''] = process.argv.slice(2);
const addon = linuxAddon();
const listener = addon.unixListen(path, 0o600);
if (listener < 0) throw new Error(`cannot listen: ${listener}`);
process.stdout.write('listening\n');
addon.fdWait(listener, 1, 20_000);
const channel = new Channel(addon.unixAccept(listener));
const deadline = performance.now() + 10_000;
process.stdout.write(`${channel.receive(deadline)?.bytes}\n`);
channel.send(encodeState({}), [], deadline);
process.stdout.write(`${channel.receive(deadline)?.bytes}\n`);
process.exit(0);
