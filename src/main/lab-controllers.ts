/** `lab-controllers --kubeconfig FILE [--cluster-cidr CIDR[,CIDR]]`: scheduler and controllers of the lab's cluster. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { connect } from '../kube/client.ts';
import { loadConnection } from '../kube/kubeconfig.ts';
import { parseClusterRanges } from '../lab/controllers/podcidr.ts';
import { startControllers } from '../lab/controllers/run.ts';

const log = (message: string) => console.error(`${new Date().toISOString()} lab-controllers: ${message}`);

try {
  const { values } = parseArgs({
    options: {
      kubeconfig: { type: 'string' },
      'cluster-cidr': { type: 'string', default: '10.244.0.0/16' },
    },
  });
  const clusterRanges = parseClusterRanges(values['cluster-cidr']);
  const { credentials } = await loadConnection({ kubeconfig: values.kubeconfig });
  if (!credentials.ca)
    throw new Error('the kubeconfig has no certificate-authority-data: pods need it to trust the API server');
  const stop = startControllers(connect(credentials), {
    clusterRanges,
    ca: credentials.ca,
    instance: hostname(),
    log,
  });
  const end = (): void => {
    const force = setTimeout(() => process.exit(0), 3_000);
    void stop().finally(() => {
      clearTimeout(force);
      process.exit(0);
    });
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
} catch (error) {
  log(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
