/** The command line inside the agent's pod: `cilium` (also `cilium-dbg`). It asks; only `encrypt flush` changes something. */
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { Endpoint } from '../../cni/endpoint.ts';
import type { PeerState } from '../../model/plan.ts';
import type { AgentStatus } from '../status.ts';
import { VERSION } from '../version.ts';
import { AgentUnreachable, API_SOCKET, askAgent, get } from './client.ts';
import { type DbgIo, examples, type Output, render, withOutput } from './command-kit.ts';
import { encryptCommand } from './encrypt-commands.ts';
import { briefView, statusView } from './status-view.ts';
import { tabulate } from './tabwriter.ts';
import { FlushRefused } from './xfrm.ts';

/** Answers the exit code. */
export async function runDbg(argv: string[], io: DbgIo): Promise<number> {
  const outcome = { code: 0 };
  const program = dbgCommand(io, outcome);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return outcome.code;
  } catch (error) {
    if (!(error instanceof AgentUnreachable || error instanceof FlushRefused)) throw error;
    io.printError(`Error: ${error.message}\n`);
    return 1;
  }
}

export function dbgCommand(io: DbgIo, outcome: { code: number }): Command {
  const program = new Command('cilium')
    .description('Tells what the agent of this node does (in the pods of ds/cilium)')
    .addOption(new Option('-H, --host <socket>', "The agent's API").env('CILIUM_SOCK').default(API_SOCKET))
    .showHelpAfterError('(add --help for what there is)')
    .addHelpText(
      'after',
      examples('cilium status', 'cilium encrypt status', 'cilium debuginfo -o json | jq .encryption'),
    );
  const ask = <T>(path: string) => askAgent<T>(path, program.opts<{ host: string }>().host);

  withOutput(program.command('status').description('Display status of the agent and its data plane'))
    .option('--verbose', 'Everything, all nodes and controllers included', false)
    .option('--brief', 'One line, and exit code 1 unless all is well', false)
    .addHelpText(
      'after',
      examples('cilium status | grep Encryption', 'cilium status --verbose', 'cilium status -o json'),
    )
    .action(async ({ output, verbose, brief }: { output: Output; verbose: boolean; brief: boolean }) => {
      const status = await ask<AgentStatus>('/v1/status');
      if (status.cilium.state === 'Failure' || (brief && status.cilium.state !== 'Ok')) outcome.code = 1;
      io.print(render(output, status, () => (brief ? briefView(status) : statusView(status, { verbose }))));
    });

  encryptCommand(program, io, ask);

  withOutput(
    program.command('debuginfo').description('Everything the agent knows, for a bug report; no key material'),
  )
    .addHelpText('after', examples('cilium debuginfo -o json | jq .encryption'))
    .action(async ({ output }: { output: Output }) => {
      const info = await ask<unknown>('/v1/debuginfo');
      io.print(render(output, info, () => stringify(info)));
    });

  const endpoint = program.command('endpoint').description('Pods of this node');
  withOutput(endpoint.command('list').description('List all endpoints'))
    .addHelpText('after', examples('cilium endpoint list', 'cilium endpoint list -o json'))
    .action(async ({ output }: { output: Output }) => {
      const endpoints = await ask<ListedEndpoint[]>('/v1/endpoint');
      io.print(render(output, endpoints, () => endpointTable(endpoints)));
    });

  const node = program.command('node').description('Nodes of the cluster');
  withOutput(node.command('list').description('List the other nodes as this one sees them'))
    .addHelpText('after', examples('cilium node list'))
    .action(async ({ output }: { output: Output }) => {
      const peers = await ask<PeerState[]>('/v1/cluster/nodes');
      io.print(render(output, peers, () => nodeTable(peers)));
    });

  withOutput(program.command('config').description('The configuration that the agent goes by'))
    .addHelpText('after', examples('cilium config', 'cilium config -o json'))
    .action(async ({ output }: { output: Output }) => {
      const config = await ask<Record<string, unknown>>('/v1/config');
      io.print(
        render(output, config, () =>
          tabulate(Object.entries(config).map(([key, value]) => [key, String(value)])),
        ),
      );
    });

  const metrics = program.command('metrics').description('Counters');
  metrics
    .command('list')
    .description("The agent's metrics, as Prometheus reads them")
    .addHelpText('after', examples('cilium metrics list | grep handshake'))
    .action(async () => {
      const { body } = await get('/metrics', program.opts<{ host: string }>().host);
      io.print(body);
    });

  program
    .command('version')
    .description('Print version of this command and of the agent')
    .addHelpText('after', examples('cilium version'))
    .action(async () => {
      const about = (version: string) =>
        `${version} node ${process.version} ${process.platform}/${process.arch}\n`;
      io.print(`Client: ${about(VERSION)}`);
      io.print(`Daemon: ${about((await ask<AgentStatus>('/v1/status')).version)}`);
    });
  return program;
}

type ListedEndpoint = Endpoint & { id: number; state: string };

function endpointTable(endpoints: ListedEndpoint[]): string {
  const ip = ({ ips }: Endpoint, v6: boolean) => ips.find(address => address.includes(':') === v6) ?? '';
  return tabulate([
    ['ENDPOINT', 'POD', 'INTERFACE', 'IPv6', 'IPv4', 'STATUS'],
    ...endpoints
      .toSorted((a, b) => a.id - b.id)
      .map(endpoint => [
        String(endpoint.id),
        `${endpoint.namespace}/${endpoint.pod}`,
        endpoint.hostInterface,
        ip(endpoint, true),
        ip(endpoint, false),
        endpoint.state,
      ]),
  ]);
}

function nodeTable(peers: PeerState[]): string {
  return tabulate([
    ['Name', 'Addresses', 'Pod CIDRs', 'Public key', 'State'],
    ...peers.map(({ name, addresses, podCIDRs, publicKey = '', state, reason }) => [
      name,
      addresses.join(','),
      podCIDRs.join(','),
      publicKey,
      reason ? `${state}: ${reason}` : state,
    ]),
  ]);
}
