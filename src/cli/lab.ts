/** `pellicle lab up | down | status | reboot`: a three-node cluster on this machine. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { down } from '../lab/cluster/down.ts';
import { checkOptions, type IpFamily } from '../lab/cluster/layout.ts';
import { reboot } from '../lab/cluster/reboot.ts';
import { type LabStatus, labNames, labStatus } from '../lab/cluster/status.ts';
import { up } from '../lab/cluster/up.ts';

interface Output {
  out(text: string): void;
  err(text: string): void;
}

const terminal: Output = {
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
};

/** `user` is the effective user id. */
export function labCommand(output: Output = terminal, user = process.geteuid?.()): Command {
  const lab = new Command('lab').description('A cluster in miniature on this machine, without downloads');
  lab
    .command('up')
    .description('Make a lab, or repair the one that is there')
    .option('--name <name>', 'Name of the lab', 'kind')
    .option('--workers <number>', 'Worker nodes beside the control plane', number, 2)
    .addOption(
      new Option('--ip-family <family>', 'Addresses of nodes and pods')
        .choices(['ipv4', 'dual'])
        .default('ipv4'),
    )
    .action(options => guarded(output, user, () => runUp(options, output)));
  lab
    .command('down')
    .description('Remove a lab and all that it left on the machine')
    .option('--name <name>', 'Name of the lab', 'kind')
    .action(options => guarded(output, user, () => runDown(options, output)));
  lab
    .command('status')
    .description('Show what runs of a lab')
    .option('--name <name>', 'Name of the lab', 'kind')
    .addOption(new Option('-o, --output <format>', 'Output format').choices(['json', 'yaml']))
    .action(options => guarded(output, user, () => runStatus(options, output)));
  lab
    .command('reboot')
    .description(
      "Cut a node's power and boot it again: processes, devices, routes and what was in memory are lost, " +
        'its disk and its objects in the API stay, its boot ID is new',
    )
    .argument('<node>', "Name of the node, as in 'kubectl get nodes', or without the lab's name: worker2")
    .option('--name <name>', 'Name of the lab', 'kind')
    .action((node, options) => guarded(output, user, () => runReboot(node, options, output)));
  return lab;
}

async function runUp(
  given: { name: string; workers: number; ipFamily: IpFamily },
  output: Output,
): Promise<number> {
  const options = checkOptions(given);
  if ('problem' in options) throw new Error(options.problem);
  await requireRights();
  const seconds = stopwatch();
  const interrupt = new AbortController();
  const onSignal = () => {
    if (interrupt.signal.aborted) process.exit(130);
    output.err('\ninterrupted: cleaning up, once more to quit at once\n');
    interrupt.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    output.err(`Making the lab '${options.name}': a control plane and ${options.workers} workers\n`);
    const { context, kubeconfig, repaired } = await up({
      options,
      signal: interrupt.signal,
      progress: step => output.err(`${seconds()}  ${step}\n`),
    });
    output.err(
      [
        `${seconds()}  the lab ${repaired ? 'is whole again' : 'is up'}; kubectl's context is ${context} (in ${kubeconfig})`,
        '',
        'Nodes are NotReady until a network is installed. Next:',
        '  kubectl get nodes',
        '  cilium install --version 1.14.5 --set encryption.enabled=true --set encryption.type=wireguard',
        '  cilium status --wait',
        `  pellicle lab down${options.name === 'kind' ? '' : ` --name ${options.name}`}`,
        '',
      ].join('\n'),
    );
    return 0;
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    output.err(`${(error as Error).message}\n`);
    return 130;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

async function runDown({ name }: { name: string }, output: Output): Promise<number> {
  checkName(name);
  const removed = await down(name);
  output.err(removed ? `Lab '${name}' is removed\n` : `There is no lab '${name}'${others(name)}\n`);
  return 0;
}

async function runReboot(node: string, { name }: { name: string }, output: Output): Promise<number> {
  checkName(name);
  const seconds = stopwatch();
  const done = await reboot({ name, node, progress: step => output.err(`${seconds()}  ${step}\n`) });
  output.err(
    `${seconds()}  ${done.node} is back; its pods start again: see kubectl get pods -A --field-selector spec.nodeName=${done.node}\n`,
  );
  return 0;
}

async function runStatus(
  { name, output: format }: { name: string; output?: 'json' | 'yaml' },
  output: Output,
): Promise<number> {
  checkName(name);
  const status = await labStatus(name);
  if (!status) {
    throw new Error(`there is no lab '${name}'${others(name)}: make it with 'pellicle lab up'`);
  }
  if (format === 'json') output.out(JSON.stringify(status, null, 2) + '\n');
  else if (format === 'yaml') output.out((await import('yaml')).stringify(status));
  else output.out(table(status));
  return status.state === 'Running' ? 0 : 1;
}

function table(status: LabStatus): string {
  const rows = [
    ['NAME', 'STATUS', 'ROLE', 'ADDRESS', 'PID'],
    ...status.nodes.map(node => [
      node.name,
      node.status,
      node.role,
      node.addresses.join(','),
      node.pid === null ? '<none>' : String(node.pid),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  const lines = rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('   ')
      .trimEnd(),
  );
  return [
    `Lab ${status.name}: ${status.state}; API server ${status.server}: ${status.apiServer}; context ${status.context}`,
    ...(status.network.pid === null
      ? []
      : [`Underlay: bridge ${status.network.bridge}, seen by nsenter -t ${status.network.pid} -n`]),
    ...(status.state === 'Running' ? [] : [`Repair it with 'pellicle lab up --name ${status.name}'`]),
    '',
    ...lines,
    '',
  ].join('\n');
}

function stopwatch(): () => string {
  const began = performance.now();
  return () => `${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s`;
}

function checkName(name: string): void {
  const checked = checkOptions({ name });
  if ('problem' in checked) throw new Error(checked.problem);
}

/** Root in a container may lack what it takes. */
async function requireRights(): Promise<void> {
  const { probe } = await import('../linux/probe.ts');
  const { netAdmin, sysAdmin } = await probe();
  for (const { ok, reason } of [sysAdmin, netAdmin]) if (!ok) throw new Error(reason);
}

function others(name: string): string {
  const names = labNames().filter(each => each !== name);
  return names.length > 0 ? ` (there is ${names.join(', ')})` : '';
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('A number is wanted.');
  return Number(text);
}

/** Expected errors are sentences; the stack is for PELLICLE_DEBUG. */
async function guarded(output: Output, user: number | undefined, work: () => Promise<number>): Promise<void> {
  try {
    // Everything of a lab belongs to root, what can be read of it too.
    if (user !== 0) throw new Error('labs are made of namespaces and mounts: run it as root, e.g. with sudo');
    process.exitCode = await work();
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    output.err(`${process.env['PELLICLE_DEBUG'] ? stack : message.replace(/^/gm, 'error: ')}\n`);
    process.exitCode = 1;
  }
}
