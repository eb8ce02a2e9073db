import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DaemonSet, PolicyRule } from '../../kube/types.ts';
import { parseConfig } from '../../model/config.ts';
import { settingsOf } from '../values/values.ts';
import { configOf } from './config.ts';
import { MANAGED_BY } from './labels.ts';
import { allOf, installationObjects, type Manifest, manifestText } from './objects.ts';

describe('installation objects', () => {
  const objects = (values: Parameters<typeof settingsOf>[0], namespace = 'kube-system'): Manifest[] => {
    const settings = settingsOf(values);
    const config = configOf(settings, { clusterName: 'c', ipam: 'kubernetes', podCIDRs: ['10.244.0.0/16'] });
    return allOf(installationObjects({ settings, config, namespace }));
  };
  const wireguard = { encryption: { enabled: true, type: 'wireguard' } };
  const ipsec = { encryption: { enabled: true, type: 'ipsec' } };
  const named = <T>(all: Manifest[], kind: string, name: string): T => {
    const found = all.find(({ object }) => object.kind === kind && object.metadata.name === name);
    assert.ok(found, `${kind} ${name}`);
    return found.object as unknown as T;
  };

  it('are of the kinds they say, bear our label and have one name each', () => {
    const all = objects(wireguard);
    for (const { type, object } of all) {
      assert.equal(object.kind, type.kind);
      assert.equal(object.apiVersion, type.apiVersion);
      assert.equal(object.metadata.labels?.[MANAGED_BY], 'pellicle', object.metadata.name);
      assert.equal(object.metadata.namespace !== undefined, type.namespaced, object.metadata.name);
    }
    const names = all.map(
      ({ object }) => `${object.kind} ${object.metadata.namespace} ${object.metadata.name}`,
    );
    assert.equal(new Set(names).size, names.length);
    assert.doesNotMatch(
      manifestText({ definitions: all, access: [], engines: [], config: [], workloads: [] }),
      /[&*]a\d/,
    );
  });

  it('the engine is there only where something is encrypted, and is never rolled', () => {
    const engine = named<DaemonSet>(objects(wireguard), 'DaemonSet', 'cilium-engine');
    assert.equal(engine.spec.updateStrategy?.type, 'OnDelete');
    assert.equal(engine.spec.template.spec.automountServiceAccountToken, false);
    const sets = objects({}).filter(({ object }) => object.kind === 'DaemonSet');
    assert.deepEqual(
      sets.map(({ object }) => object.metadata.name),
      ['cilium'],
    );
  });

  it('agent: the names that people and commands know', () => {
    const agent = named<DaemonSet>(objects(wireguard, 'elsewhere'), 'DaemonSet', 'cilium');
    const { spec, metadata } = agent.spec.template;
    assert.equal(metadata?.labels?.['k8s-app'], 'cilium');
    assert.deepEqual(spec.containers[0]?.command, [
      'cilium-agent',
      '--config-map',
      'elsewhere/cilium-config',
    ]);
    assert.equal(spec.hostNetwork, true);
    assert.deepEqual(spec.tolerations, [{ operator: 'Exists' }]);
    const mounted = new Set(spec.containers[0]?.volumeMounts?.map(({ name }) => name));
    assert.deepEqual(new Set(spec.volumes?.map(({ name }) => name)), mounted);
  });

  it('an agent that is not privileged gets the capabilities by name', () => {
    const agent = named<DaemonSet>(
      objects({ ...wireguard, securityContext: { privileged: false } }),
      'DaemonSet',
      'cilium',
    );
    const context = agent.spec.template.spec.containers[0]?.securityContext;
    assert.equal(context?.privileged, undefined);
    assert.deepEqual(context?.capabilities?.drop, ['ALL']);
    assert.ok(context?.capabilities?.add?.includes('NET_ADMIN'));
  });

  it('nobody may read Secrets but the one with the key, exec, or do everything', () => {
    for (const { object } of [...objects(wireguard), ...objects(ipsec)])
      for (const rule of (object['rules'] as PolicyRule[] | undefined) ?? []) {
        assert.ok(
          !rule.verbs.includes('*') && !rule.resources?.includes('*') && !rule.apiGroups?.includes('*'),
        );
        assert.ok(!rule.resources?.includes('pods/exec'));
        if (!rule.resources?.includes('secrets')) continue;
        assert.equal(object.kind, 'Role');
        assert.deepEqual(rule.resourceNames, ['cilium-ipsec-keys']);
      }
  });

  it('the operator may write the key only where it rotates one', () => {
    const verbs = (values: Parameters<typeof settingsOf>[0]) =>
      named<{ rules: PolicyRule[] }>(objects(values), 'Role', 'cilium-operator').rules.find(({ resources }) =>
        resources?.includes('secrets'),
      )?.verbs;
    assert.deepEqual(verbs(ipsec), ['list', 'watch', 'patch']);
    assert.equal(verbs(wireguard), undefined);
  });

  it('agents read the configuration of kubeadm where kubeadm has it, wherever they are themselves', () => {
    const readers = objects(ipsec, 'elsewhere').filter(({ object }) =>
      ((object['rules'] as PolicyRule[] | undefined) ?? []).some(({ resourceNames }) =>
        resourceNames?.includes('kubeadm-config'),
      ),
    );
    assert.deepEqual(
      readers.map(({ object }) => [object.kind, object.metadata.namespace, object.metadata.name]),
      [['Role', 'kube-system', 'cilium-kubeadm-agent']],
    );
  });

  it('one engine serves both types', () => {
    const engine = (values: Parameters<typeof settingsOf>[0]) =>
      named<DaemonSet>(objects(values), 'DaemonSet', 'cilium-engine');
    assert.deepEqual(engine(ipsec), engine(wireguard));
    const [container] = engine(ipsec).spec.template.spec.containers;
    assert.deepEqual(container?.command, ['cilium-engine-init', 'cilium_wg0', 'cilium_esp0']);
  });

  it('the configuration is one that agents take', () => {
    for (const values of [
      {},
      wireguard,
      { encryption: { ...wireguard.encryption, nodeEncryption: true } },
      { prometheus: { enabled: false }, MTU: 9000 },
      { prometheus: { address: '::1' } },
      ipsec,
      {
        encryption: {
          ...ipsec.encryption,
          ipsec: { keyRotationInterval: '720h', keyPacketLimit: 1_000_000 },
        },
      },
    ]) {
      const config = named<{ data: Record<string, string> }>(
        objects(values),
        'ConfigMap',
        'cilium-config',
      ).data;
      const parsed = parseConfig(config);
      assert.ok('config' in parsed, JSON.stringify(parsed));
      assert.equal(parsed.config.encryption, 'encryption' in values ? values.encryption?.type : 'disabled');
    }
  });
});
