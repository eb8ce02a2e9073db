import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '../../kube/core.ts';
import { hostsFile, podHostname, resolvConf } from './podnet.ts';

const pod = (spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-0', namespace: 'shop' },
  spec: { containers: [], ...spec },
});
const dns = {
  clusterDns: '10.96.0.10',
  domain: 'cluster.local',
  nodeResolvConf: 'search lan\nnameserver 10.0.2.3\n',
};

test('resolv.conf by policy', () => {
  assert.equal(
    resolvConf(pod(), dns),
    'search shop.svc.cluster.local svc.cluster.local cluster.local lan\nnameserver 10.96.0.10\noptions ndots:5\n',
  );
  assert.equal(resolvConf(pod({ dnsPolicy: 'Default' }), dns), dns.nodeResolvConf);
  assert.equal(resolvConf(pod({ hostNetwork: true }), dns), dns.nodeResolvConf);
  assert.match(
    resolvConf(pod({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }), dns),
    /nameserver 10\.96\.0\.10/,
  );
  assert.equal(
    resolvConf(
      pod({
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['1.1.1.1'], searches: ['a'], options: [{ name: 'ndots', value: '1' }] },
      }),
      dns,
    ),
    'search a\nnameserver 1.1.1.1\noptions ndots:1\n',
  );
  assert.match(
    resolvConf(pod({ dnsConfig: { options: [{ name: 'ndots', value: '2' }] } }), dns),
    /options ndots:2\n$/,
  );
});

test('host names and /etc/hosts', () => {
  assert.equal(podHostname(pod(), 'node'), 'web-0');
  assert.equal(podHostname(pod({ hostNetwork: true }), 'node'), 'node');
  assert.equal(podHostname(pod({ hostname: 'own' }), 'node'), 'own');
  const text = hostsFile(
    pod({ hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] }),
    'web-0',
    ['10.244.1.2'],
    '',
  );
  assert.match(text, /^10\.244\.1\.2\tweb-0$/m);
  assert.match(text, /^1\.2\.3\.4\ta\tb$/m);
});
