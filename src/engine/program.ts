/**
 * `pellicle-engine [-f] [--ipsec ESPNAME] [NAME]`: a userspace WireGuard interface, driven by `wg`, and one for ESP, driven
 * by words as of `ip xfrm`.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import project from '../../package.json' with { type: 'json' };
import { EspTunnel } from './esp-tunnel.ts';
import { type Log, levelOf, makeLog } from './log.ts';
import { type RequestServer, serveRequests } from './request-server.ts';
import { Tunnel } from './tunnel.ts';
import { serveUapi } from './uapi-server.ts';

const DEFAULT_MTU = 1420;
/** What stands in 1500 bytes with vxlan and AES-GCM around it, as pods have it. */
const DEFAULT_ESP_MTU = 1373;
const SOCKET_FOLDER = '/var/run/wireguard';
const ESP_SOCKET_FOLDER = '/var/run/pellicle';
/** Of the mark that sets the engine's own packets apart: 0xe00 of the mask 0xf00. */
const ESP_MARK = 0xe00;

const USAGE = `Usage: pellicle-engine [-f] [--persist] [--mtu N] [--ipsec ESPNAME] [NAME]

A userspace WireGuard: makes the TUN device NAME and serves ${SOCKET_FOLDER}/NAME.sock, so that \`wg\` drives it.
And a userspace ESP: makes the TUN device ESPNAME and serves ${ESP_SOCKET_FOLDER}/ESPNAME.sock, which takes words as of
\`ip xfrm\`. It ends when a socket or a device is removed.

      --ipsec ESPNAME  also, or without NAME only, a device for ESP
  -f, --foreground  stay in the foreground; without it the command returns when device and socket are there
  --persist         the device outlives the engine, and an engine that starts again takes it over
                    (also by PELLICLE_PERSIST=1)
  --mtu N           MTU of a new device (${DEFAULT_MTU}, for ESP ${DEFAULT_ESP_MTU})
  -h, --help        this text
  --version         the version

Environment: LOG_LEVEL=verbose|error|silent
`;

interface Options {
  name?: string;
  ipsec?: string;
  isForeground: boolean;
  persist: boolean;
  mtu?: number;
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
        ipsec: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
    if (values.help) return USAGE;
    if (values.version) return `pellicle-engine ${project.version}\n`;
    const [name, ...more] = positionals;
    const { ipsec } = values;
    if ((!name && ipsec === undefined) || more.length > 0)
      return { problem: 'one interface name is needed: pellicle-engine [-f] [--ipsec ESPNAME] [NAME]' };
    for (const device of [name, ipsec]) {
      if (device === undefined || isDeviceName(device)) continue;
      return {
        problem: `${JSON.stringify(device)} is no interface name: 1 to 15 letters, digits or _ = + . -`,
      };
    }
    if (name === ipsec) return { problem: 'NAME and ESPNAME have to be two' };
    const mtu = values.mtu === undefined ? undefined : Number(values.mtu);
    if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 576 || mtu > 65_535))
      return { problem: '--mtu has to be 576 to 65535' };
    return {
      ...(name && { name }),
      ...(ipsec && { ipsec }),
      ...(mtu !== undefined && { mtu }),
      persist: values.persist === true || environment['PELLICLE_PERSIST'] === '1',
      isForeground: values.foreground === true || environment['WG_PROCESS_FOREGROUND'] === '1',
    };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function isDeviceName(name: string): boolean {
  return /^[a-zA-Z0-9_=+.-]{1,15}$/.test(name) && name !== '.' && name !== '..';
}

/** What a running engine is made of, ended in this order. */
type Part = { close(): void };

async function runForeground(options: Options, environment: NodeJS.ProcessEnv): Promise<void> {
  const { name, ipsec } = options;
  const logOf = (device: string) =>
    makeLog(device, levelOf(environment['LOG_LEVEL']), line => writeSync(2, line));
  const parts: Part[] = [];
  let end: (why: string) => void = () => {};
  const onEnd = (why: string) => end(why);
  try {
    if (name) parts.unshift(...(await startWireguard(name, options, logOf(name), onEnd)));
    if (ipsec) parts.unshift(...(await startEsp(ipsec, options, logOf(ipsec), onEnd)));
    const log = logOf(name ?? ipsec ?? '');
    end = why => {
      end = () => {};
      log.verbose(`Ending: ${why}`);
      for (const part of parts) part.close();
      process.exit(0);
    };
    process.once('SIGTERM', () => end('SIGTERM'));
    process.once('SIGINT', () => end('SIGINT'));
    log.verbose('Ready');
    report({ ready: true });
  } catch (error) {
    for (const part of parts) part.close();
    if (process.connected) report({ problem: messageOf(error) });
    else fail(messageOf(error));
    process.exitCode = 1;
  }
}

async function startWireguard(
  name: string,
  { persist, mtu = DEFAULT_MTU }: Options,
  log: Log,
  onEnd: (why: string) => void,
): Promise<Part[]> {
  const onGone = () => onEnd('the device was deleted');
  // As the device, so what its peers remember of it.
  const kept = persist && { timestampFile: `${SOCKET_FOLDER}/${name}.timestamp` };
  const tunnel = new Tunnel({ name, persist, mtu, log, onGone, ...kept });
  const path = `${SOCKET_FOLDER}/${name}.sock`;
  return serving(tunnel, serveUapi({ path, tunnel, log, onRemoved: () => onEnd('the socket was removed') }));
}

async function startEsp(
  name: string,
  { persist, mtu = DEFAULT_ESP_MTU }: Options,
  log: Log,
  onEnd: (why: string) => void,
): Promise<Part[]> {
  const onGone = () => onEnd('the device for ESP was deleted');
  const tunnel = new EspTunnel({ name, persist, mtu, mark: ESP_MARK, run: randomUUID(), log, onGone });
  const path = `${ESP_SOCKET_FOLDER}/${name}.sock`;
  const onRemoved = () => onEnd('the socket for ESP was removed');
  return serving(tunnel, serveRequests({ path, answer: request => tunnel.answer(request), onRemoved }));
}

/** A tunnel with its server, or neither. */
async function serving(tunnel: Part, server: Promise<RequestServer>): Promise<Part[]> {
  try {
    return [await server, tunnel];
  } catch (error) {
    tunnel.close();
    throw error;
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
