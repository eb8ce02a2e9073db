/** The engine driver's contract against another implementation of the UAPI: wireguard-go. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { wireguardContract } from '../../src/drivers/contract.ts';
import { WireGuardEngine } from '../../src/drivers/wireguard-engine.ts';

const DEVICE = 'pg-wg0';
const NETNS = `pg-contract-${process.pid}`;
let engine: ChildProcess;

before(async () => {
  run('ip', 'netns', 'add', NETNS);
  run('ip', '-n', NETNS, 'link', 'set', 'lo', 'up');
  engine = spawn('ip', ['netns', 'exec', NETNS, 'wireguard-go', '-f', DEVICE], {
    stdio: 'ignore',
    env: { ...process.env, WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD: '1' },
  });
  const deadline = Date.now() + 10_000;
  while (!existsSync(`/var/run/wireguard/${DEVICE}.sock`)) {
    if (Date.now() > deadline) throw new Error('wireguard-go does not come up');
    await sleep(20);
  }
});

after(() => {
  engine.kill();
  run('ip', 'netns', 'del', NETNS);
});

wireguardContract('wireguard-engine', async () => {
  const driver = new WireGuardEngine({ device: DEVICE });
  await driver.cleanUp();
  return driver;
});

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
