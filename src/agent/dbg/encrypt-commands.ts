/** `cilium encrypt …` inside the agent's pod. */
import { createInterface } from 'node:readline/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { EncryptionStatus } from '../encryption-status.ts';
import { type DbgIo, examples, type Output, render, withOutput } from './command-kit.ts';
import { ESP_SOCKET, engineAt } from './esp-socket.ts';
import { encryptView } from './status-view.ts';
import { dumpXfrm, type FlushOptions, flush } from './xfrm.ts';

export function encryptCommand(program: Command, io: DbgIo, ask: <T>(path: string) => Promise<T>): void {
  const encrypt = program.command('encrypt').description('Transparent encryption');
  const engine = () => engineAt(process.env['ESP_SOCK'] ?? ESP_SOCKET);

  withOutput(encrypt.command('status').description('Display the current encryption state'))
    .addHelpText('after', examples('cilium encrypt status', 'cilium encrypt status -o json'))
    .action(async ({ output }: { output: Output }) => {
      const state = await ask<EncryptionStatus>('/v1/encrypt');
      io.print(render(output, state, () => encryptView(state)));
    });

  encrypt
    .command('flush')
    .description('Delete IPsec states and policies; the agent makes those that are needed again')
    .option('-f, --force', 'Do not ask', false)
    .option('--spi <id>', 'Only those of the key with this id', spiNumber)
    .option('--node-id <name>', 'Only those of this node')
    .option('--stale', 'Only those of nodes, and of runs of them, that are gone', false)
    .addHelpText(
      'after',
      examples('cilium encrypt flush -f', 'cilium encrypt flush --spi 3', 'cilium encrypt flush --stale'),
    )
    .action(
      async ({
        force,
        spi,
        nodeId,
        stale,
      }: {
        force: boolean;
        spi?: number;
        nodeId?: string;
        stale: boolean;
      }) => {
        const options: FlushOptions = {
          ...{ force, stale },
          ...(spi === undefined ? {} : { spi }),
          ...(nodeId === undefined ? {} : { node: nodeId }),
        };
        const peers = async () => {
          const { epochs } = await ask<EncryptionStatus>('/v1/encrypt');
          return new Map((epochs?.peers ?? []).map(({ peer, incarnation }) => [peer, incarnation]));
        };
        await flush(engine(), options, { print: io.print, question, peers });
      },
    );

  encrypt
    .command('dump-xfrm')
    .description('Print all IPsec states as JSON, KEYS INCLUDED')
    .addHelpText('after', examples('cilium encrypt dump-xfrm | jq -r ".[] | [.src, .dst, .spi] | @tsv"'))
    .action(async () => io.print(`${JSON.stringify(await dumpXfrm(engine()), null, 2)}\n`));
}

function spiNumber(text: string): number {
  const spi = Number(text);
  if (!/^(0x[0-9a-fA-F]+|\d+)$/.test(text) || spi < 1)
    throw new InvalidArgumentError('write a key id from 1 to 15');
  return spi;
}

async function question(text: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return await lines.question(text);
  } finally {
    lines.close();
  }
}
