/**
 * A new engine that fails: takes what the running one gives, and then does as its first argument says, in place of taking
 * over. `die`: ends without a word; `refuse`: refuses; `silence`: says nothing until it is killed; `vanish`: says that it is
 * ready, and ends without waiting; `describe`: tells how many bytes the packet loops saved, and refuses; `format`: asks for a
 * format that nobody knows. The second argument is the device, the third the one for ESP.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { takeEngine } from '../../src/engine/handover.ts';
import { Channel } from '../../src/engine/handover-channel.ts';

const [what, name = '', ipsec] = process.argv.slice(2);
const channel = Channel.connect(`/var/run/pellicle/${name}.handover`);
if (!channel) throw new Error('nobody is there');
const deadline = performance.now() + 10_000;
const say = (word: object) => channel.send(Buffer.from(JSON.stringify(word)), [], deadline);

if (what === 'format') {
  say({ type: 'hello', format: 99, version: '9.9.9', netns: 1, name });
  process.stdout.write(`${channel.receive(deadline)?.bytes}\n`);
} else {
  const { carried, refuse } = takeEngine(channel, { name, ...(ipsec && { ipsec }) });
  const saved = [carried.wireguard, carried.ipsec].map(part => part?.tunnel.loop.state.length);
  process.stdout.write(what === 'describe' ? `${JSON.stringify(saved)}\n` : 'taken\n');
  if (what === 'refuse' || what === 'describe') refuse('it was not meant');
  if (what === 'vanish') say({ type: 'ready' });
  if (what === 'silence') await delay(60_000);
}
process.exit(0);
