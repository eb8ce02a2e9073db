/** The command line of lab-apiserver. */
import { isIPv4, isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';
import { type ServerOptions, startServer } from './server.ts';

const USAGE =
  'lab-apiserver --data FILE --pki FOLDER [--listen ADDRESS:PORT] [--advertise ADDRESS] [--service-cidr CIDR[,CIDR]]';

/** Starts the server and stays until it is told to end; a wrong argument ends it with code 2. */
export async function runApiServer(argv: string[]): Promise<void> {
  let options: ServerOptions;
  try {
    options = readArguments(argv);
  } catch (error) {
    console.error(`lab-apiserver: ${(error as Error).message}\nusage: ${USAGE}`);
    process.exitCode = 2;
    return;
  }
  try {
    const server = await startServer(options);
    console.error(`lab-apiserver: serving on https://${options.host}:${server.port}`);
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => void server.close().then(() => process.exit(0)));
  } catch (error) {
    console.error(`lab-apiserver: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

export function readArguments(argv: string[]): ServerOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      data: { type: 'string' },
      pki: { type: 'string' },
      listen: { type: 'string', default: '127.0.0.1:6443' },
      advertise: { type: 'string' },
      'service-cidr': { type: 'string', default: '10.96.0.0/16' },
    },
  });
  if (!values.data) throw new Error('--data is missing: the file where the objects are kept');
  if (!values.pki) throw new Error('--pki is missing: the folder with ca.crt, apiserver.crt, sa.key …');
  const listen = /^\[?([^\]]+)\]?:(\d+)$/.exec(values.listen);
  const host = listen?.[1] ?? '';
  if (!isIPv4(host) && !isIPv6(host)) throw new Error(`--listen ${values.listen} has to be ADDRESS:PORT`);
  return {
    data: values.data,
    pki: values.pki,
    host,
    port: Number(listen?.[2]),
    advertise: values.advertise ?? host,
    serviceCidrs: values['service-cidr'].split(','),
  };
}
