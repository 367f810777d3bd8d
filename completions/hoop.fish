# fish completion for hoop; made by: hoop completion fish
function __hoop_complete
    set -l words (commandline -opc)
    set -e words[1]
    command hoop __complete $words (commandline -ct) 2>/dev/null
end
complete -c hoop -f -a '(__hoop_complete)'
