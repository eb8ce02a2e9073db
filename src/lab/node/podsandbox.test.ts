import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../kube/core.ts';
import { CniError } from './cni.ts';
import { makeProblem, PodSandbox } from './podsandbox.ts';
import { NetworkNotReady, type Sandbox } from './sandbox.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u' },
  spec: { containers: [] },
};

class Plugin {
  away = false;
  made = 0;
  readonly left = new Set<string>();

  async begin(): Promise<Sandbox> {
    const id = String(++this.made);
    this.left.add(id);
    return { id, podUid: 'u', podNamespace: 'n', podName: 'p', ips: [], ready: false, createdAt: '' };
  }

  async join(sandbox: Sandbox): Promise<void> {
    if (this.away) throw new CniError(11, 'ADD: no agent');
    sandbox.ready = true;
  }

  async remove({ id }: Sandbox): Promise<void> {
    if (this.away) throw new CniError(11, 'DEL: no agent');
    this.left.delete(id);
  }
}

test('while the plugin is away one sandbox is left, however often it is tried; then it goes', async () => {
  const plugin = new Plugin();
  const sandbox = new PodSandbox(plugin, undefined);
  plugin.away = true;
  await assert.rejects(sandbox.make(pod, []), /ADD: no agent/);
  for (let i = 0; i < 3; i++) await assert.rejects(sandbox.make(pod, []), /DEL: no agent/);
  assert.deepEqual([...plugin.left], ['1']);
  assert.equal(sandbox.joined, undefined);
  await assert.rejects(sandbox.undo(), /DEL: no agent/);
  plugin.away = false;
  await sandbox.undo();
  assert.equal(plugin.left.size, 0, 'a pod deleted meanwhile leaves nothing');
});

test('the plugin is back: what was left goes before the pod gets another', async () => {
  const plugin = new Plugin();
  const sandbox = new PodSandbox(plugin, undefined);
  plugin.away = true;
  await assert.rejects(sandbox.make(pod, []));
  plugin.away = false;
  await sandbox.make(pod, []);
  assert.deepEqual([...plugin.left], ['2']);
  assert.equal(sandbox.joined?.id, '2');
});

test('the event says what failed', () => {
  assert.equal(makeProblem(new NetworkNotReady('no plugin')).reason, 'NetworkNotReady');
  assert.match(makeProblem(new CniError(11, 'away')).message, /failed to setup network for sandbox: away$/);
});
