/** What the commands inside the agent have in common. */
import { type Command, Option } from 'commander';
import { stringify } from 'yaml';

export interface DbgIo {
  print(text: string): void;
  printError(text: string): void;
}

export type Output = 'json' | 'yaml' | undefined;

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'Machine-readable output').choices(['json', 'yaml']),
  );
}

export function render(output: Output, value: unknown, text: () => string): string {
  if (output === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  return output === 'yaml' ? stringify(value) : text();
}

export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map(line => `  ${line}\n`).join('')}`.trimEnd();
}
