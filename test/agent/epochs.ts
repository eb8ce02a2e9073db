/** Words of the tests that move a cluster from one epoch to another. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { AgentStatus } from '../../src/agent/status.ts';
import { until } from './holder.ts';
import type { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

/** A line of the Secret with a new key. */
export function newKey(id: number): string {
  return `${id}+ rfc4106(gcm(aes)) ${randomBytes(20).toString('hex')} 128`;
}

export async function agentStatus(node: RigNode): Promise<AgentStatus> {
  return (await node.status()) as unknown as AgentStatus;
}

/** Until every node opens and seals with this epoch alone (`ipsec/4`, `wireguard`, `none`), and all others do. */
export async function settled(rig: Rig, epoch: string, limitMs = 30_000): Promise<void> {
  let seen: unknown;
  await until(
    `all nodes are at ${epoch}`,
    async () => {
      const all = await Promise.all(rig.nodes.map(node => agentStatus(node).catch(() => undefined)));
      seen = all.map(status => status?.encryption.epochs);
      return all.every(status => isAt(status, epoch, rig.nodes.length - 1));
    },
    limitMs,
  ).catch(error => {
    throw new Error(`${error.message}\n${JSON.stringify(seen)}`);
  });
}

function isAt(status: AgentStatus | undefined, epoch: string, others: number): boolean {
  const { epochs } = status?.encryption ?? {};
  if (!epochs || epochs.peers.length !== others || !epochs.goal.startsWith(epoch)) return false;
  const { opens, seals } = epochs.advertised;
  const isAlone = [opens, seals, ...epochs.peers.flatMap(peer => [peer.opens, [peer.seals]])];
  return isAlone.every(list => list.length === 1 && list[0] === epoch);
}

/**
 * Pings go every 10 ms on each of the ways while `during` runs; none may be lost. Answers to the last second's may still be
 * on their way when it ends.
 */
export async function withoutLoss(
  ways: { from: RigNode; pod: string; to: string }[],
  during: () => Promise<void>,
): Promise<void> {
  const pings = ways.map(({ from, pod, to }, i) => {
    const name = `ping-${pod}-${i}`;
    const file = `/run/${name}`;
    const script = `exec ping -n -i 0.01 ${to} > ${file}`;
    from.spawn(name, 'ip', ['netns', 'exec', pod, 'sh', '-c', script]);
    return { from, file, name };
  });
  try {
    for (const { from, file } of pings)
      await until(
        'pings are answered',
        async () => (await from.try('grep', '-q', 'icmp_seq=100 ', file)).code === 0,
      );
    await during();
  } finally {
    for (const { from, name } of pings) await from.kill(name, 'SIGINT');
  }
  for (const { from, file, name } of pings) {
    const { stdout } = await from.run('cat', file);
    const answered = new Set([...stdout.matchAll(/icmp_seq=(\d+) /g)].map(([, seq]) => Number(seq)));
    const last = Math.max(...answered) - 100;
    const lost = Array.from({ length: last }, (_, i) => i + 1).filter(seq => !answered.has(seq));
    assert.deepEqual(lost, [], `${name}: ${lost.length} of ${last} lost`);
  }
}
