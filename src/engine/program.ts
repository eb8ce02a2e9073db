/** `pellicle-engine [-f] NAME`: a userspace WireGuard interface, driven by `wg`. */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import project from '../../package.json' with { type: 'json' };
import { levelOf, makeLog } from './log.ts';
import { Tunnel } from './tunnel.ts';
import { serveUapi } from './uapi-server.ts';

const DEFAULT_MTU = 1420;
const SOCKET_FOLDER = '/var/run/wireguard';

const USAGE = `Usage: pellicle-engine [-f] [--persist] [--mtu N] NAME

A userspace WireGuard: makes the TUN device NAME and serves ${SOCKET_FOLDER}/NAME.sock, so that \`wg\` drives it.
It ends when the socket or the device is removed.

  -f, --foreground  stay in the foreground; without it the command returns when device and socket are there
  --persist         the device outlives the engine, and an engine that starts again takes it over
                    (also by PELLICLE_PERSIST=1)
  --mtu N           MTU of a new device (${DEFAULT_MTU})
  -h, --help        this text
  --version         the version

Environment: LOG_LEVEL=verbose|error|silent
`;

interface Options {
  name: string;
  isForeground: boolean;
  persist: boolean;
  mtu: number;
}

/** What the background process tells the one that started it. */
type Report = { ready: true } | { problem: string };

/** Resolves when the engine runs, or with the exit code set. */
export async function runEngine(args: string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const options = parse(args, environment);
  if (typeof options === 'string') {
    process.stdout.write(options);
  } else if ('problem' in options) {
    fail(options.problem);
  } else if (options.isForeground) {
    await runForeground(options, environment);
  } else {
    await startBackground(args, environment);
  }
}

/** Options, a text to print, or what is wrong. */
function parse(args: string[], environment: NodeJS.ProcessEnv): Options | string | { problem: string } {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        foreground: { type: 'boolean', short: 'f' },
        persist: { type: 'boolean' },
        mtu: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
    if (values.help) return USAGE;
    if (values.version) return `pellicle-engine ${project.version}\n`;
    const [name, ...more] = positionals;
    if (!name || more.length > 0)
      return { problem: 'one interface name is needed: pellicle-engine [-f] NAME' };
    if (!/^[a-zA-Z0-9_=+.-]{1,15}$/.test(name) || name === '.' || name === '..') {
      return {
        problem: `${JSON.stringify(name)} is no interface name: 1 to 15 letters, digits or _ = + . -`,
      };
    }
    const mtu = Number(values.mtu ?? DEFAULT_MTU);
    if (!Number.isInteger(mtu) || mtu < 576 || mtu > 65_535)
      return { problem: '--mtu has to be 576 to 65535' };
    return {
      name,
      mtu,
      persist: values.persist === true || environment['PELLICLE_PERSIST'] === '1',
      isForeground: values.foreground === true || environment['WG_PROCESS_FOREGROUND'] === '1',
    };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

async function runForeground(options: Options, environment: NodeJS.ProcessEnv): Promise<void> {
  const { name, persist, mtu } = options;
  const log = makeLog(name, levelOf(environment['LOG_LEVEL']), line => writeSync(2, line));
  let end: (why: string) => void = () => {};
  let tunnel: Tunnel | undefined;
  try {
    const engine = new Tunnel({ name, persist, mtu, log, onGone: () => end('the device was deleted') });
    tunnel = engine;
    const server = await serveUapi({
      path: `${SOCKET_FOLDER}/${name}.sock`,
      tunnel: engine,
      log,
      onRemoved: () => end('the socket was removed'),
    });
    end = why => {
      end = () => {};
      log.verbose(`Ending: ${why}`);
      server.close();
      engine.close();
      process.exit(0);
    };
    process.once('SIGTERM', () => end('SIGTERM'));
    process.once('SIGINT', () => end('SIGINT'));
    log.verbose('Ready');
    report({ ready: true });
  } catch (error) {
    tunnel?.close();
    if (process.connected) report({ problem: messageOf(error) });
    else fail(messageOf(error));
    process.exitCode = 1;
  }
}

/** Starts this same program in a session of its own, and waits until it is ready. */
function startBackground(args: string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const level = environment['LOG_LEVEL'];
  const output = level !== undefined && levelOf(level) !== 'silent' ? 'inherit' : 'ignore';
  const program = process.argv[1]!;
  const child = spawn(process.execPath, [...process.execArgv, program, '-f', ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: environment,
  });
  return new Promise(resolve => {
    let isTold = false;
    child.once('message', (message: Report) => {
      isTold = true;
      if ('problem' in message) fail(message.problem);
      child.disconnect();
      child.unref();
      resolve();
    });
    child.once('error', error => {
      fail(messageOf(error));
      resolve();
    });
    child.once('exit', code => {
      if (!isTold) fail(`the engine ended before it was ready (exit code ${code})`);
      resolve();
    });
  });
}

function report(message: Report): void {
  if (!process.send) return;
  process.send(message, () => process.disconnect?.());
}

function fail(problem: string): void {
  process.stderr.write(`pellicle-engine: ${problem}\n`);
  process.exitCode = 1;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
