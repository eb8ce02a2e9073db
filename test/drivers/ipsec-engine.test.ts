/** The contract of IPsec drivers with the engine itself. */
import type { ChildProcess } from 'node:child_process';
import { after, before } from 'node:test';
import { ipsecContract } from '../../src/drivers/ipsec-contract.ts';
import { IpsecEngine } from '../../src/drivers/ipsec-engine.ts';
import { scratchNetns } from '../../src/linux/netns.ts';
import { startEngine, stopEngine } from './engine.ts';

const DEVICE = `pd${process.pid}`;
let engine: ChildProcess;
let netns: Awaited<ReturnType<typeof scratchNetns>>;

before(async () => {
  netns = await scratchNetns();
  engine = await startEngine(netns.path, DEVICE);
});

after(async () => {
  await stopEngine(engine);
  netns?.close();
});

ipsecContract('ipsec-engine', async () => {
  const driver = new IpsecEngine({ device: DEVICE });
  await driver.cleanUp();
  return driver;
});
