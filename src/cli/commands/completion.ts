/** `cilium completion SHELL`: small scripts that ask the hidden command `__complete` what fits, so that it is always current. */
import type { Argument, Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, program: string): string {
  return SCRIPTS[shell]
    .replaceAll('PROGRAM', program)
    .replaceAll('FUNCTION', program.replaceAll(/[^a-z]/g, '_'));
}

/** Lines `word<TAB>description` for what may stand in place of the last of `words`. */
export function complete(program: Command, words: string[]): string[] {
  const current = words.at(-1) ?? '';
  let command = program;
  let positional = 0;
  let awaiting: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (awaiting) {
      awaiting = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const option = optionNamed(command, word.split('=')[0] ?? word);
      if (option && (option.required || option.optional) && !word.includes('=')) awaiting = option;
      continue;
    }
    const next = command.commands.find(inner => inner.name() === word || inner.aliases().includes(word));
    if (next) command = next;
    else positional++;
  }
  const [, flag = '', assigned] = /^(--[^=]+=)(.*)$/s.exec(current) ?? [];
  const found = awaiting
    ? (awaiting.argChoices ?? []).map(choice => [choice, ''])
    : assigned !== undefined
      ? (optionNamed(command, flag.slice(0, -1))?.argChoices ?? []).map(choice => [flag + choice, ''])
      : current.startsWith('-')
        ? optionsOf(command).map(option => [option.long ?? option.short ?? '', option.description])
        : [
            ...command.commands.map(inner => [inner.name(), inner.description()]),
            ...choicesOf(command.registeredArguments[positional]).map(choice => [choice, '']),
          ];
  return found
    .filter(([word = '']) => word.startsWith(current))
    .map(([word, description]) => (description ? `${word}\t${description}` : `${word}`));
}

function choicesOf(argument: Argument | undefined): string[] {
  return argument?.argChoices ?? [];
}

/** Its own and those of the commands above it. */
function optionsOf(command: Command): Option[] {
  const own = command.options.filter(option => !option.hidden);
  return command.parent ? [...own, ...optionsOf(command.parent)] : own;
}

function optionNamed(command: Command, name: string): Option | undefined {
  return optionsOf(command).find(option => option.long === name || option.short === name);
}

const SCRIPTS: Record<Shell, string> = {
  bash: `# bash completion for PROGRAM: source <(PROGRAM completion bash)
_FUNCTION_complete() {
  local IFS=$'\\n' line word before=
  local words=()
  COMPREPLY=()
  # Bash splits --flag=value into three words.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ \${#words[@]} -gt 0 && ( $word == "=" || \${words[-1]} == --*= ) ]]; then words[-1]+=$word; else words+=("$word"); fi
  done
  [[ \${words[-1]} == --*=* ]] && before=\${words[-1]%%=*}=
  while read -r line; do
    line=\${line%%$'\\t'*}
    COMPREPLY+=("\${line#"$before"}")
  done < <("\${COMP_WORDS[0]}" __complete "\${words[@]}" 2>/dev/null)
  [ \${#COMPREPLY[@]} -gt 0 ] || compopt -o default 2>/dev/null
}
complete -F _FUNCTION_complete PROGRAM
`,
  zsh: `#compdef PROGRAM
# zsh completion for PROGRAM: source <(PROGRAM completion zsh)
_FUNCTION() {
  local -a found
  local line
  while IFS= read -r line; do
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}\${\${line#*$'\\t'}:+:}\${\${(M)line:#*$'\\t'*}#*$'\\t'}")
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe 'PROGRAM' found; else _files; fi
}
compdef _FUNCTION PROGRAM
`,
  fish: `# fish completion for PROGRAM: PROGRAM completion fish | source
function __FUNCTION_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] __complete $words[2..-1] 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c PROGRAM -f -a '(__FUNCTION_complete)'
`,
  powershell: `# PowerShell completion for PROGRAM: PROGRAM completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName PROGRAM -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($wordToComplete -eq '') { $words += '' }
  & PROGRAM __complete @words 2>$null | ForEach-Object {
    $word, $about = $_ -split "\`t", 2
    if (-not $about) { $about = $word }
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $about)
  }
}
`,
};
