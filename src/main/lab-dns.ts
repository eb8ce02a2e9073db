/** `lab-dns [--domain cluster.local] [--port 53] [--kubeconfig FILE]`: DNS server of the lab's cluster. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { connect, inCluster } from '../kube/client.ts';
import { loadConnection } from '../kube/kubeconfig.ts';
import { parseResolvConf } from '../lab/dns/forwarder.ts';
import { startDns } from '../lab/dns/run.ts';

const log = (message: string) => console.error(`${new Date().toISOString()} lab-dns: ${message}`);

try {
  const { values } = parseArgs({
    options: {
      domain: { type: 'string', default: 'cluster.local' },
      port: { type: 'string', default: '53' },
      'health-port': { type: 'string', default: '8080' },
      'ready-port': { type: 'string', default: '8181' },
      'resolv-conf': { type: 'string', default: '/etc/resolv.conf' },
      kubeconfig: { type: 'string' },
    },
  });
  const { kubeconfig } = values;
  const credentials = kubeconfig ? (await loadConnection({ kubeconfig })).credentials : inCluster();
  const dns = await startDns(connect(credentials), {
    domain: values.domain.toLowerCase(),
    upstreams: parseResolvConf(readFileSync(values['resolv-conf'], 'utf8')),
    port: portOf(values.port, '--port'),
    healthPort: portOf(values['health-port'], '--health-port'),
    readyPort: portOf(values['ready-port'], '--ready-port'),
    log,
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      dns.stop();
      process.exit(0);
    });
  }
} catch (error) {
  log(error instanceof Error ? error.message : String(error));
  process.exit(1);
}

function portOf(text: string, flag: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535)
    throw new Error(`${flag} takes a port from 0 to 65535, not "${text}"`);
  return port;
}
