/** The agent's command line and environment. What concerns the cluster is in the ConfigMap, not here. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ConfigData } from '../model/config.ts';
import { VERSION } from './version.ts';

export interface AgentOptions {
  nodeName: string;
  runDir: string;
  wireguardDir: string;
  /** Control sockets of engines that do ESP. */
  ipsecDir: string;
  cniConfDir: string;
  cniBinDir: string;
  /** The CNI plugin's binary to install. */
  cniShim: string;
  configMap: { namespace: string; name: string };
  /** Keys that win over those of the ConfigMap. */
  overrides: ConfigData;
  /** Empty: credentials of the pod. */
  kubeconfig: string;
  healthPort: number;
  debug: boolean;
}

/** Undefined when help or the version was printed; throws commander's errors, which name the flag. */
export function parseOptions(argv: string[], env: NodeJS.ProcessEnv): AgentOptions {
  const command = agentCommand();
  command.parse(argv, { from: 'user' });
  const flags = command.opts<Flags>();
  const nodeName = flags.k8sNodeName ?? env['K8S_NODE_NAME'] ?? env['NODE_NAME'] ?? '';
  if (nodeName === '') {
    command.error(
      'the name of this node is not known: set K8S_NODE_NAME (in a pod from fieldRef spec.nodeName), or --k8s-node-name',
    );
  }
  return {
    nodeName,
    runDir: flags.runDir,
    wireguardDir: flags.wireguardDir,
    ipsecDir: flags.ipsecDir,
    cniConfDir: flags.cniConfDir ?? firstThere('/host/etc/cni/net.d', '/etc/cni/net.d'),
    cniBinDir: flags.cniBinDir ?? firstThere('/host/opt/cni/bin', '/opt/cni/bin'),
    cniShim: flags.cniShim ?? defaultShim(),
    configMap: flags.configMap,
    overrides: flags.config,
    kubeconfig: flags.kubeconfig,
    healthPort: flags.clusterHealthPort,
    debug: flags.debug,
  };
}

export function paths(options: AgentOptions) {
  return {
    apiSocket: join(options.runDir, 'cilium.sock'),
    cniSocket: join(options.runDir, 'cni.sock'),
    privateKey: join(options.runDir, 'state', 'cilium_wg0.key'),
    conflist: join(options.cniConfDir, '05-cilium.conflist'),
    cniBinary: join(options.cniBinDir, 'cilium-cni'),
  };
}

interface Flags {
  k8sNodeName?: string;
  runDir: string;
  wireguardDir: string;
  ipsecDir: string;
  cniConfDir?: string;
  cniBinDir?: string;
  cniShim?: string;
  configMap: { namespace: string; name: string };
  config: Record<string, string>;
  kubeconfig: string;
  clusterHealthPort: number;
  debug: boolean;
}

function agentCommand(): Command {
  const env = (flags: string, description: string, variable: string) =>
    new Option(flags, description).env(variable);
  return new Command('cilium-agent')
    .description('Runs on every node: watches the cluster, keeps the data plane of the node, serves CNI')
    .version(VERSION)
    .option('--k8s-node-name <name>', 'Name of this node (env K8S_NODE_NAME)')
    .addOption(env('--run-dir <dir>', 'Sockets and state', 'CILIUM_RUN_DIR').default('/var/run/cilium'))
    .addOption(
      env('--wireguard-dir <dir>', 'Sockets of WireGuard engines', 'WG_SOCKET_DIR').default(
        '/var/run/wireguard',
      ),
    )
    .addOption(
      env('--ipsec-dir <dir>', 'Control sockets of ESP engines', 'ESP_SOCKET_DIR').default(
        '/var/run/pellicle',
      ),
    )
    .addOption(env('--cni-conf-dir <dir>', 'Where the CNI configuration is written', 'CNI_CONF_DIR'))
    .addOption(env('--cni-bin-dir <dir>', 'Where the CNI plugin is installed', 'CNI_BIN_DIR'))
    .addOption(env('--cni-shim <file>', 'The CNI plugin to install', 'CNI_SHIM'))
    .option('--config-map <namespace/name>', 'The ConfigMap', objectName, {
      namespace: 'kube-system',
      name: 'cilium-config',
    })
    .option('--config <key=value>', 'Wins over the key of the ConfigMap (repeatable)', keyValue, {})
    .option('--kubeconfig <file>', 'Credentials, when not those of the pod', '')
    .option('--cluster-health-port <port>', 'TCP port of the heartbeats between agents', portNumber, 4240)
    .option('--debug', 'Log more', false)
    .addHelpText(
      'after',
      `
Examples:
  cilium-agent                                              in a pod of the DaemonSet
  cilium-agent --k8s-node-name n1 --kubeconfig ~/.kube/config --config enable-wireguard=true`,
    );
}

function objectName(text: string): { namespace: string; name: string } {
  const [namespace, name, ...rest] = text.split('/');
  if (!namespace || !name || rest.length > 0) throw new InvalidArgumentError('write NAMESPACE/NAME');
  return { namespace, name };
}

function keyValue(text: string, all: Record<string, string>): Record<string, string> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('write KEY=VALUE');
  return { ...all, [text.slice(0, equals)]: text.slice(equals + 1) };
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('write a port number');
  return port;
}

function firstThere(...folders: string[]): string {
  return folders.find(existsSync) ?? folders.at(-1)!;
}

/** Beside the bundle when run from a checkout, else where the image has it. */
function defaultShim(): string {
  let folder = import.meta.dirname;
  while (folder !== '/') {
    const built = join(folder, 'build', 'cilium-cni');
    if (existsSync(built)) return built;
    folder = join(folder, '..');
  }
  return '/opt/cni/bin/cilium-cni';
}
