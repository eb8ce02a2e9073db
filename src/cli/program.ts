/** The tree of commands. What a command does is loaded only when it is called: help has to be there at once. */
import { Argument, Command, CommanderError, Option } from 'commander';
import { PROFILES } from '../proto/keys/generate.ts';
import { type CommandContext, commandContext, type GlobalFlags } from './context.ts';
import { Failure, usage } from './failure.ts';
import { CILIUM_VERSION, version } from './root.ts';
import { Interrupted, systemTerminal, type Terminal } from './terminal.ts';

export interface ProgramOptions {
  /** `cilium`, `pellicle`, or `kubectl pellicle`. */
  name: string;
  /** Adds `lab`, which makes clusters. */
  lab?: boolean;
}

/** Runs one command line; resolves with the exit code. */
export async function main(
  options: ProgramOptions,
  args: string[],
  terminal = systemTerminal(),
): Promise<number> {
  let doing = '';
  try {
    const program = createProgram(options, terminal, what => {
      doing = what;
    });
    if (options.lab && args.find(arg => arg !== '__complete') === 'lab') await loadLab(program, terminal);
    if (args[0] === '__complete') {
      const { complete } = await import('./commands/completion.ts');
      for (const line of complete(program, args.slice(1))) terminal.out(`${line}\n`);
      return 0;
    }
    await program.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    return report(error, doing, terminal);
  }
}

export function createProgram(
  { name, lab }: ProgramOptions,
  terminal: Terminal,
  onStart: (doing: string) => void = () => {},
): Command {
  const program = new Command(name);
  program
    .description('Encrypts the traffic between the pods of a Kubernetes cluster, with WireGuard or IPsec')
    .option('--kubeconfig <file>', 'Path of the kubeconfig (else $KUBECONFIG, else ~/.kube/config)')
    .option('--context <name>', 'Context of the kubeconfig')
    .option('-n, --namespace <name>', 'Namespace of the installation', 'kube-system')
    .option('--as <user>', 'User to act as')
    .option('--as-group <group>', 'Group to act as, may be given again', collect)
    .addHelpText('after', examples(name))
    .helpOption('-h, --help', 'Show help')
    .helpCommand('help [command]', 'Show help for a command')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: text => terminal.out(text),
      // Help for who names no command; errors go by outputError.
      writeErr: text => terminal.out(text),
    })
    .exitOverride();

  /** An action that gets the context; `doing` completes the sentence "Unable to …". */
  const act =
    <A extends unknown[]>(doing: string, action: (context: CommandContext, ...args: A) => Promise<void>) =>
    async (...given: unknown[]): Promise<void> => {
      onStart(doing);
      const command = given.at(-1) as Command;
      const context = commandContext(terminal, command.optsWithGlobals<GlobalFlags>());
      await action(context, ...(given.slice(0, -1) as A));
    };

  addInstallation(program, act);
  addLooks(program, act);
  addEncryption(program, act);
  addConfig(program, act);
  addCompletion(program, name, terminal);
  if (lab) program.command('lab').description('A cluster in miniature on this machine: up, down, status');
  for (const command of program.commands) speakLike(program, command, terminal);
  hint(program, terminal);
  return program;
}

type Act = <A extends unknown[]>(
  doing: string,
  action: (context: CommandContext, ...args: A) => Promise<void>,
) => (...given: unknown[]) => Promise<void>;

function addInstallation(program: Command, act: Act): void {
  const install = withValues(program.command('install'), 'Install in the cluster')
    .option('--list-versions', 'List the versions that can be asked for')
    .action(
      act('install Cilium', async (context, flags) =>
        (await import('./commands/install.ts')).install(context, flags as never),
      ),
    );
  install.addHelpText(
    'after',
    `\nExamples:\n  cilium install --version ${CILIUM_VERSION} --set encryption.enabled=true --set encryption.type=wireguard\n` +
      `  cilium encryption create-key && cilium install --version ${CILIUM_VERSION} --set encryption.enabled=true --set encryption.type=ipsec\n` +
      '  cilium install --values values.yaml --wait\n\nAll values: deploy/values.yaml\n',
  );
  withValues(program.command('upgrade'), 'Change an installation; values given earlier stay')
    .option('--reuse-values', 'Keep the values given earlier (the default)')
    .option('--reset-values', 'Start from the defaults')
    .action(
      act('upgrade Cilium', async (context, flags) =>
        (await import('./commands/upgrade.ts')).upgrade(context, flags as never),
      ),
    );
  program
    .command('uninstall')
    .description('Clean the nodes and remove everything that was installed')
    .option('--wait', 'Wait longer for nodes that do not answer')
    .option('--wait-duration <duration>', 'How long', '5m')
    .action(
      act('uninstall Cilium', async (context, flags) =>
        (await import('./commands/uninstall.ts')).uninstall(context, flags as never),
      ),
    );
}

function addLooks(program: Command, act: Act): void {
  program
    .command('status')
    .description('Show what runs and what is wrong with it')
    .option('--wait', 'Wait until nothing is wrong')
    .option('--wait-duration <duration>', 'How long', '5m')
    .option('--ignore-warnings', 'Let warnings pass')
    .option('--worker-count <number>', 'Taken and not used')
    .addOption(output())
    .action(
      act('determine status', async (context, flags) =>
        (await import('./commands/status.ts')).status(context, flags as never),
      ),
    );
  program
    .command('version')
    .description('Show the version of this program and of what runs in the cluster')
    .option('--client', 'Do not ask the cluster')
    .action(
      act('show the version', async (context, flags) =>
        (await import('./commands/version.ts')).printVersion(context, flags as never),
      ),
    );
}

function addEncryption(program: Command, act: Act): void {
  const encryption = program
    .command('encryption')
    .alias('encrypt')
    .description(
      'Look at the encryption between the nodes, and at the key of IPsec; make and rotate that key',
    );
  encryption
    .command('status')
    .description('Show how the nodes encrypt, as their agents tell it')
    .option('--agent-pod-selector <selector>', 'Labels of the agents', 'k8s-app=cilium')
    .option('--node <name>', 'Ask one node only')
    .option('--per-node-details', 'Show every node by itself')
    .option('--wait-duration <duration>', 'How long to wait for answers', '1m')
    .addOption(output('yaml'))
    .addHelpText('after', exampleText('status', 'status --node kind-worker --per-node-details'))
    .action(
      act('determine encryption status', async (context, flags) =>
        (await import('./commands/encryption-status.ts')).encryptionStatus(context, flags as never),
      ),
    );
  encryption
    .command('create-key')
    .description('Make the Secret with a first key for IPsec')
    .addOption(authAlgo().default('rfc4106-gcm-aes'))
    .addHelpText('after', exampleText('create-key', 'create-key --auth-algo rfc4106-gcm-aes-256'))
    .action(
      act('create IPsec key', async (context, flags) =>
        (await import('./commands/encryption-keys.ts')).createKey(context, flags as never),
      ),
    );
  encryption
    .command('rotate-key')
    .description('Put a new key for IPsec in the place of the one in use; no packet is lost')
    .addOption(authAlgo('as the key before'))
    .option('--wait', 'Wait until every node seals with the new key and the old one is gone')
    .option('--timeout <duration>', 'How long', '5m')
    .option('--force', 'Also while a rotation is in progress, or when the Secret has no key that can be used')
    .addHelpText('after', exampleText('rotate-key --wait', 'rotate-key --auth-algo cbc-aes-sha512 --wait'))
    .action(
      act('rotate IPsec key', async (context, flags) =>
        (await import('./commands/rotate-key.ts')).rotateKey(context, flags as never),
      ),
    );
  encryption
    .command('key-status')
    .alias('ks')
    .description('Show id, algorithm, age and fingerprint of the key for IPsec')
    .option('--show-key', 'Show the key itself too')
    .addOption(output('yaml'))
    .addHelpText('after', exampleText('key-status', 'key-status -o json', 'key-status --show-key'))
    .action(
      act('show IPsec key', async (context, flags) =>
        (await import('./commands/encryption-keys.ts')).keyStatus(context, flags as never),
      ),
    );
}

function addConfig(program: Command, act: Act): void {
  const config = program.command('config').description('Look at and change the configuration of the agents');
  config
    .command('view')
    .description('Show the configuration')
    .action(act('view config', async context => (await import('./commands/config.ts')).configView(context)));
  config
    .command('set <key> <value>')
    .description('Set a key, and restart the agents')
    .option('-r, --restart [boolean]', 'Restart the pods (-r=false: not)', onOff, true)
    .action(
      act('set config', async (context, key: string, value: string, flags) =>
        (await import('./commands/config.ts')).configSet(context, key, value, flags as never),
      ),
    );
  config
    .command('delete <key>')
    .description('Remove a key, and restart the agents')
    .option('-r, --restart [boolean]', 'Restart the pods (-r=false: not)', onOff, true)
    .action(
      act('delete config', async (context, key: string, flags) =>
        (await import('./commands/config.ts')).configDelete(context, key, flags as never),
      ),
    );
}

function addCompletion(program: Command, name: string, terminal: Terminal): void {
  program
    .command('completion')
    .description('Print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'Which shell').choices(['bash', 'zsh', 'fish', 'powershell']))
    .action(async shell => {
      const { completionScript } = await import('./commands/completion.ts');
      terminal.out(completionScript(shell, name.replace(' ', '-')));
    });
}

/** `lab` needs much that no other command does: it takes the place of its entry in the help only when it is called. */
async function loadLab(program: Command, terminal: Terminal): Promise<void> {
  const { labCommand } = await import('./lab.ts');
  const commands = program.commands as Command[];
  const place = commands.findIndex(command => command.name() === 'lab');
  if (place < 0) return;
  commands.splice(place, 1);
  const lab = labCommand();
  program.addCommand(lab);
  speakLike(program, lab, terminal);
}

/** A command and those below it get the ways of the program. */
function speakLike(program: Command, command: Command, terminal: Terminal): void {
  command.copyInheritedSettings(program);
  hint(command, terminal);
  for (const inner of command.commands) speakLike(program, inner, terminal);
}

/** Usage errors end with where to look. */
function hint(command: Command, terminal: Terminal): void {
  const path = [];
  for (let at: Command | null = command; at; at = at.parent) path.unshift(at.name());
  const see = `See '${path.join(' ')} --help'\n`;
  command.configureOutput({
    outputError: text => terminal.err(text.replace(/^error: /, 'Error: ') + see),
  });
}

function withValues(command: Command, description: string): Command {
  return command
    .description(description)
    .option('--version <version>', `Version of Cilium to answer to (such as ${CILIUM_VERSION})`)
    .option('--set <name=value>', 'Set a value, may be given again (a.b=1,c={x,y})', collect)
    .option('--set-string <name=value>', 'Set a value that is text, may be given again', collect)
    .option('--set-file <name=file>', 'Set a value to what is in a file, may be given again', collect)
    .option('-f, --values <file>', 'Values in a YAML file, may be given again', collect)
    .addOption(new Option('--helm-set <name=value>').argParser(collect).hideHelp())
    .addOption(new Option('--helm-set-string <name=value>').argParser(collect).hideHelp())
    .addOption(new Option('--helm-set-file <name=file>').argParser(collect).hideHelp())
    .addOption(new Option('--helm-values <file>').argParser(collect).hideHelp())
    .addOption(refused('--repository <url>', 'there is no chart to fetch'))
    .addOption(
      refused('--chart-directory <folder>', 'there is no chart, deploy/ has the defaults of all values'),
    )
    .addOption(refused('--datapath-mode <mode>', 'there is one data path, a tunnel'))
    .addOption(
      refused('--nodes-without-cilium [nodes]', 'choose the nodes with --set nodeSelector.NAME=VALUE'),
    )
    .option('--dry-run', 'Print the objects, change nothing')
    .option('--dry-run-helm-values', 'Print the values, change nothing')
    .option('--wait', 'Wait until everything runs')
    .option('--wait-duration <duration>', 'How long', '5m')
    .hook('preAction', (_, acting) => foldHelmFlags(acting));
}

/** The names that the flags had in older versions mean the same. */
function foldHelmFlags(command: Command): void {
  for (const [old, current] of [
    ['helmSet', 'set'],
    ['helmSetString', 'setString'],
    ['helmSetFile', 'setFile'],
    ['helmValues', 'values'],
  ] as const) {
    const given = command.getOptionValue(old) as string[] | undefined;
    if (given)
      command.setOptionValue(current, [...((command.getOptionValue(current) as string[]) ?? []), ...given]);
  }
}

/** A flag of Cilium's command line that would change nothing here: better told than ignored. */
function refused(flags: string, why: string): Option {
  const name = flags.split(' ')[0];
  return new Option(flags).hideHelp().argParser(() => {
    throw usage(`${name} is not possible: ${why}; leave it out`);
  });
}

function output(...more: string[]): Option {
  const formats = ['summary', 'json', ...more];
  return new Option('-o, --output <format>', 'Output format').choices(formats).default('summary');
}

function authAlgo(preset?: string): Option {
  const about = `Algorithms of the key${preset ? ` (default: ${preset})` : ''}`;
  return new Option('--auth-algo <name>', about).choices(Object.keys(PROFILES));
}

function exampleText(...commands: string[]): string {
  return `\nExamples:\n${commands.map(command => `  cilium encryption ${command}\n`).join('')}`;
}

function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

function onOff(text: string): boolean {
  const bare = text.replace(/^=/, '');
  if (bare !== 'true' && bare !== 'false')
    throw usage(`--restart "${bare}" is not known: write true or false`);
  return bare === 'true';
}

function report(error: unknown, doing: string, terminal: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 || error.code === 'commander.help' ? 0 : 2;
  if (error instanceof Interrupted || (error instanceof Error && error.cause instanceof Interrupted)) {
    terminal.err('\nInterrupted\n');
    return 130;
  }
  const expected = error instanceof Error && EXPECTED.includes(error.name);
  const text =
    error instanceof Error ? (expected ? error.message : (error.stack ?? error.message)) : String(error);
  terminal.err(`\nError: ${doing ? `Unable to ${doing}: ` : ''}${text}\n`);
  return error instanceof Failure ? error.exitCode : 1;
}

const EXPECTED = ['Failure', 'ApiError', 'KubeUnreachable', 'KubeconfigError'];

function examples(name: string): string {
  return `
Examples:
  ${name} install --set encryption.enabled=true --set encryption.type=wireguard
  ${name} status --wait

Pellicle ${version}
`;
}
