/** An agent that dies at any step of a rotation, and starts again: nothing is lost, and the rotation ends. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { STEPS } from '../../src/agent/failpoints.ts';
import { agentStatus, newKey, settled, withoutLoss } from './epochs.ts';
import { until } from './holder.ts';
import { Rig } from './rig.ts';
import type { RigNode } from './rig-node.ts';

let rig: Rig;
let a: RigNode;
let b: RigNode;
let podA: string;
let podB: string;
let id = 3;

before(async () => {
  rig = await Rig.up({ workers: 1, config: { 'enable-ipsec': 'true' } });
  [a, b] = rig.nodes as [RigNode, RigNode];
  await rig.setKeys(newKey(id));
  await rig.startAll();
  [podA] = (await a.addPod('pod-a')) as [string];
  [podB] = (await b.addPod('pod-b')) as [string];
  await settled(rig, 'ipsec/3');
});
after(() => rig?.down());

for (const step of STEPS.flatMap(name => [`before-${name}`, `after-${name}`])) {
  test(`killed ${step.replace('-', ' ')}`, async () => {
    await a.kill('agent');
    a.startAgent({ PELLICLE_FAILPOINT: step });
    await a.whenReady();
    await settled(rig, `ipsec/${id}`);
    id = (id % 15) + 1;
    const ways = [
      { from: a, pod: 'pod-a', to: podB },
      { from: b, pod: 'pod-b', to: podA },
    ];
    await withoutLoss(ways, async () => {
      await rig.setKeys(newKey(id));
      await until(
        `the agent dies ${step}`,
        async () => (await a.try('test', '-e', `/run/cilium/failpoint-${step}`)).code === 0,
      );
      await a.kill('agent');
      a.startAgent();
      await settled(rig, `ipsec/${id}`);
    });
    for (const node of rig.nodes) {
      const { ipsec } = (await agentStatus(node)).encryption;
      assert.deepEqual([ipsec?.['keys-in-use'], ipsec?.['error-count']], [2, 0]);
    }
  });
}
