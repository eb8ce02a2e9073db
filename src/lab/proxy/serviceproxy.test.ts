import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeClient } from '../../kube/client.ts';
import { ENDPOINTSLICES, type KubeObject, type ResourceType, type Service } from '../../kube/types.ts';
import { HandClock, settle } from '../controllers/testing.ts';
import { ServiceProxy } from './serviceproxy.ts';

const web: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'w', resourceVersion: '1' },
  spec: { clusterIP: '10.96.0.20', ports: [{ port: 80 }] },
};

function rig(options: { failures?: number } = {}) {
  const scripts: string[] = [];
  let failures = options.failures ?? 0;
  let bring: (service: Service) => void = () => {};
  const slices = Promise.withResolvers<{ items: KubeObject[]; resourceVersion: string }>();
  const client = {
    list: (type: ResourceType) =>
      type.plural === ENDPOINTSLICES.plural
        ? slices.promise
        : Promise.resolve({ items: [web], resourceVersion: '1' }),
    async *watch(type: ResourceType, { signal }: { signal: AbortSignal }) {
      while (!signal.aborted) {
        const object = await new Promise<Service>(resolve => {
          if (type.plural === 'services') bring = resolve;
        });
        yield { type: 'MODIFIED', object };
      }
    },
  } as unknown as KubeClient;
  const clock = new HandClock();
  const exec = async (script: string) => {
    if (failures-- > 0) throw new Error('nft is busy');
    scripts.push(script);
  };
  const log: string[] = [];
  const endFlows = () => Promise.resolve();
  const proxy = new ServiceProxy(client, {
    nodeName: 'here',
    exec,
    endFlows,
    clock,
    log: line => log.push(line),
  });
  proxy.start();
  return {
    proxy,
    clock,
    scripts,
    log,
    listSlices: () => slices.resolve({ items: [], resourceVersion: '1' }),
    bring: (service: Service) => bring(service),
  };
}

const changed: Service = {
  ...web,
  metadata: { ...web.metadata, resourceVersion: '2' },
  spec: { ...web.spec, clusterIP: '10.96.0.21' },
};

test('nothing is set before everything is known; a change is set once, an equal one not at all', async () => {
  const { proxy, clock, scripts, listSlices, bring } = rig();
  await clock.turn(1000);
  assert.deepEqual(scripts, []);
  listSlices();
  await settle();
  await clock.turn(0);
  assert.equal(scripts.length, 1);
  bring(changed);
  await clock.turn(100);
  assert.equal(scripts.length, 2);
  assert.match(scripts[1]!, /10\.96\.0\.21/);
  bring({ ...changed, metadata: { ...changed.metadata, resourceVersion: '3' } });
  await clock.turn(100);
  assert.equal(scripts.length, 2);
  await proxy.stop();
});

test('a failure is told and tried again; once a minute the rules are set anew', async () => {
  const { proxy, clock, scripts, log, listSlices } = rig({ failures: 2 });
  listSlices();
  await settle();
  await clock.turn(5_000);
  assert.equal(scripts.length, 1);
  assert.deepEqual(log, ['services: nft is busy', 'services: nft is busy']);
  await clock.turn(60_000);
  assert.equal(scripts.length, 2);
  await proxy.cleanUp();
  assert.match(scripts[2]!, /^table ip pellicle-lab-services\ndelete table/);
});
