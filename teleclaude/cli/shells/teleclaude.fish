# Completion of teleclaude for fish: save this file as ~/.config/fish/completions/teleclaude.fish,
# or put in config.fish: teleclaude completion fish | source.
function __teleclaude_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (@PROGRAM@ completion fish -- $words[2..] "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case directories
            __fish_complete_directories "$current"
        case '*'
            string join \n -- $lines[2..]
    end
end
complete -c teleclaude -f -a '(__teleclaude_complete)'
