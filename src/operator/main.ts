/** The operator as a program: flags, connection, election. */
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { connect, inCluster, isNotFound, type KubeClient } from '../kube/client.ts';
import { Recorder } from '../kube/events.ts';
import { lead } from '../kube/lease.ts';
import { CONFIGMAPS } from '../kube/types.ts';
import { parseConfig } from '../model/config.ts';
import { Metrics } from './metrics.ts';
import { operate } from './operator.ts';
import { poolsOf } from './pool.ts';
import { type ListenAddress, parseListen, serve } from './server.ts';

interface Flags {
  configMap: { namespace: string; name: string };
  kubeconfig: string;
  health: ListenAddress;
  metrics: ListenAddress | 'off';
}

/** Resolves when it was told to stop (SIGTERM, SIGINT). */
export async function runOperator(args: string[], version: string, env = process.env): Promise<void> {
  const flags = parseFlags(args, version);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  const metrics = new Metrics();
  const health = await serve({ '/healthz': () => ({ status: 200, body: 'ok\n' }) }, flags.health);
  const scrape =
    flags.metrics === 'off'
      ? undefined
      : await serve({ '/metrics': () => ({ status: 200, body: metrics.text(version) }) }, flags.metrics);
  try {
    const client = await connectTo(flags.kubeconfig, env);
    const config = await readConfig(client, flags.configMap);
    const identity = env['POD_NAME'] ?? hostname();
    log(`operator ${version}, ${identity}, ipam ${config.ipam}; waiting to lead`);
    const recorder = new Recorder(client, { controller: 'cilium-operator', instance: identity, log });
    await lead(
      client,
      {
        namespace: flags.configMap.namespace,
        name: 'cilium-operator',
        identity: `${identity}_${process.pid}`,
        log,
      },
      async term => {
        metrics.leader = true;
        log('leading');
        await operate({ client, recorder, metrics, log, ...config.work }, term);
        metrics.leader = false;
      },
      stop.signal,
    );
    await recorder.flush();
  } finally {
    health.close();
    scrape?.close();
  }
}

async function connectTo(kubeconfig: string, env: NodeJS.ProcessEnv): Promise<KubeClient> {
  if (!kubeconfig) return connect(inCluster(env));
  const { loadConnection } = await import('../kube/kubeconfig.ts');
  return connect((await loadConnection({ kubeconfig, env })).credentials);
}

async function readConfig(client: KubeClient, { namespace, name }: Flags['configMap']) {
  const data = await client.get(CONFIGMAPS, name, namespace).then(
    config => config.data ?? {},
    error => {
      if (isNotFound(error))
        throw new Error(`there is no ConfigMap ${namespace}/${name}: install with "cilium install"`);
      throw error;
    },
  );
  const parsed = parseConfig(data);
  if ('problems' in parsed) throw new Error(`ConfigMap ${namespace}/${name}: ${parsed.problems.join('; ')}`);
  const { ipam, encryption, ipsec } = parsed.config;
  const { secretName, keyRotationInterval: interval } = ipsec;
  return {
    ipam,
    work: {
      pools: ipam === 'cluster-pool' ? poolsOf(data) : [],
      ...(encryption === 'ipsec' && { key: { namespace, secretName, interval } }),
    },
  };
}

function parseFlags(args: string[], version: string): Flags {
  const command = new Command('cilium-operator')
    .description('Takes care of what concerns the whole cluster; of several, one works')
    .version(version)
    .option('--config-map <namespace/name>', 'The ConfigMap', objectName, {
      namespace: 'kube-system',
      name: 'cilium-config',
    })
    .option('--kubeconfig <file>', 'Credentials, when not those of the pod', '')
    .addOption(listenOption('--health-address <host:port>', 'Where probes are answered', '127.0.0.1:9234'))
    .addOption(
      listenOption('--metrics-address <host:port>', 'Where metrics are served, or off', '127.0.0.1:9963'),
    );
  const flags = command.parse(args, { from: 'user' }).opts<GivenFlags>();
  const { configMap, kubeconfig, healthAddress, metricsAddress } = flags;
  if (healthAddress === 'off') return command.error('--health-address cannot be off: write HOST:PORT');
  return { configMap, kubeconfig, health: healthAddress, metrics: metricsAddress };
}

interface GivenFlags {
  configMap: { namespace: string; name: string };
  kubeconfig: string;
  healthAddress: ListenAddress | 'off';
  metricsAddress: ListenAddress | 'off';
}

function listenOption(flag: string, about: string, preset: string): Option {
  return new Option(flag, about).default(listenAddress(preset), preset).argParser(listenAddress);
}

function listenAddress(text: string): ListenAddress | 'off' {
  const address = text === 'off' ? text : parseListen(text);
  if (!address) throw new InvalidArgumentError('write HOST:PORT such as 127.0.0.1:9234');
  return address;
}

function objectName(text: string): { namespace: string; name: string } {
  const [namespace, name, ...rest] = text.split('/');
  if (!namespace || !name || rest.length > 0) throw new InvalidArgumentError('write NAMESPACE/NAME');
  return { namespace, name };
}

function log(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}
