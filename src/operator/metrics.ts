/** What the operator counts, in the text format of Prometheus. */

export class Metrics {
  leader = false;
  readonly deleted = { CiliumNode: 0, CiliumEndpoint: 0 };
  restartedPods = 0;
  podCIDRsAllocated = 0;
  podCIDRsExhausted = 0;
  errors = 0;

  text(version: string): string {
    return [
      family('cilium_operator_build_info', 'gauge', 'Version of the operator', [
        [`{version="${version}"}`, 1],
      ]),
      family('cilium_operator_leader', 'gauge', 'Whether this operator is the one that works', [
        ['', this.leader ? 1 : 0],
      ]),
      family(
        'cilium_operator_garbage_collected_total',
        'counter',
        'Objects deleted because what they stood for is gone',
        Object.entries(this.deleted).map(([kind, number]) => [`{kind="${kind}"}`, number]),
      ),
      family(
        'cilium_operator_unmanaged_pods_restarted_total',
        'counter',
        'DNS pods restarted for want of a network',
        [['', this.restartedPods]],
      ),
      family('cilium_operator_pod_cidrs_allocated_total', 'counter', 'Pod CIDRs handed out', [
        ['', this.podCIDRsAllocated],
      ]),
      family('cilium_operator_pod_cidrs_exhausted_total', 'counter', 'Nodes for which no pod CIDR was left', [
        ['', this.podCIDRsExhausted],
      ]),
      family('cilium_operator_errors_total', 'counter', 'Requests to the API server that failed', [
        ['', this.errors],
      ]),
      family('process_resident_memory_bytes', 'gauge', 'Resident memory', [['', process.memoryUsage.rss()]]),
    ].join('');
  }
}

function family(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: [labels: string, value: number][],
): string {
  const lines = samples.map(([labels, value]) => `${name}${labels} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
