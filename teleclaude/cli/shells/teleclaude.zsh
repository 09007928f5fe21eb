#compdef teleclaude
# Completion of teleclaude for zsh: save this file as _teleclaude in a folder of $fpath,
# or put after compinit: source <(teleclaude completion zsh).
_teleclaude() {
    local line
    local -a lines candidates
    lines=("${(@f)$(@PROGRAM@ completion zsh -- "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    for line in "${(@)lines[2,-1]}"; do
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    case $lines[1] in
        files) _files ;;
        directories) _files -/ ;;
        *) _describe -t values teleclaude candidates ;;
    esac
}
if [[ ${funcstack[1]-} == _teleclaude ]]; then _teleclaude "$@"; else compdef _teleclaude teleclaude; fi
