# Completion of teleclaude for bash: source this file, or source <(teleclaude completion bash).
_teleclaude_complete() {
    local source='' candidate
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        if [[ -z $source ]]; then source=$candidate; else COMPREPLY+=("$candidate"); fi
    done < <(@PROGRAM@ completion bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    case $source in
        files) compopt -o default ;;
        directories) compopt -o dirnames ;;
    esac 2>/dev/null
}
complete -F _teleclaude_complete teleclaude
