/**
 * `-f [--few-messages] [--slow] NAME`: the engine with a clock that runs 60 times as fast, so that two minutes are two
 * seconds, or a twentieth as fast, so that nothing is due during a test; on request a keypair asks to be renewed after 40
 * messages and seals no more than 400.
 */
import { makeLog } from '../../src/engine/log.ts';
import { Tunnel } from '../../src/engine/tunnel.ts';
import { serveUapi } from '../../src/engine/uapi-server.ts';

const name = process.argv.at(-1)!;
const limits = process.argv.includes('--few-messages')
  ? { rekeyAfterMessages: 40n, rejectAfterMessages: 400n }
  : {};
const clockSpeed = process.argv.includes('--slow') ? 0.05 : 60;
const log = makeLog(name, 'verbose', line => process.stderr.write(line));
const tunnel = new Tunnel({ name, persist: false, mtu: 1420, clockSpeed, log, onGone: end, ...limits });
const server = await serveUapi({
  path: `/var/run/wireguard/${name}.sock`,
  tunnel,
  log,
  stalledMs: 1500,
  onRemoved: end,
});
process.once('SIGTERM', end);

function end(): void {
  server.close();
  tunnel.close();
  process.exit(0);
}
