# bash completion for jobfetch; made by completions/generate.py
_jobfetch() {
  local word place="" words="" known="||auth|auth login|auth login cognite|auth login exabase|auth login expertai|auth login justcrawl|auth login playment|auth logout|auth status|batch|batch download|batch download cognite|batch download exabase|batch download expertai|batch download justcrawl|batch download playment|batch retry|batch status|batch verify|config|config init|config path|config set|config show|config unset|demo|doctor|export|get|get cognite|get exabase|get expertai|get justcrawl|get playment|providers|providers list|providers show|sandbox|sandbox jobs|sandbox run|sandbox serve|status|status cognite|status exabase|status expertai|status justcrawl|status playment|"
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) continue ;; esac
    local next="${place:+$place }$word"
    case "$known" in *"|$next|"*) place="$next" ;; esac
  done
  case "$place" in
    "") words="--help --version doctor export demo get status auth config batch providers sandbox" ;;
    "auth") words="--help logout status login" ;;
    "auth login") words="--help cognite exabase playment justcrawl expertai" ;;
    "auth login cognite") words="--help --secret --check/--no-check --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v" ;;
    "auth login exabase") words="--help --secret --check/--no-check --base-url --states --base-id --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v" ;;
    "auth login expertai") words="--help --secret --check/--no-check --base-url --states --token-url --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v" ;;
    "auth login justcrawl") words="--help --secret --check/--no-check --base-url --states --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v" ;;
    "auth login playment") words="--help --secret --check/--no-check --base-url --states --project --batch --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v" ;;
    "auth logout") words="--help --profile --json --quiet -q --verbose -v" ;;
    "auth status") words="--help --check --profile --timeout --retries --ca-bundle --json --quiet -q --verbose -v" ;;
    "batch") words="--help retry verify status download" ;;
    "batch download") words="--help cognite exabase playment justcrawl expertai" ;;
    "batch download cognite") words="--help --output -o --jobs --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --token-file --client-secret-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "batch download exabase") words="--help --output -o --jobs --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --base-id --api-key-file --state --kind --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "batch download expertai") words="--help --output -o --jobs --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --token-url --token-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "batch download justcrawl") words="--help --output -o --jobs --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --api-key-file --status --workflow-id --schedule-id --domain --tag --created-after --created-before --updated-after --updated-before --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "batch download playment") words="--help --output -o --jobs --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --project --batch --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "batch retry") words="--help --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --token-url --scopes --audience --client-id --token-file --client-secret-file --api-key-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "batch status") words="--help --json --quiet -q --verbose -v" ;;
    "batch verify") words="--help --repair --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --token-url --scopes --audience --client-id --token-file --client-secret-file --api-key-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "config") words="--help path show set unset init" ;;
    "config init") words="--help --json --quiet -q --verbose -v" ;;
    "config path") words="--help --json --quiet -q --verbose -v" ;;
    "config set") words="--help --json --quiet -q --verbose -v" ;;
    "config show") words="--help --profile --json --quiet -q --verbose -v" ;;
    "config unset") words="--help --json --quiet -q --verbose -v" ;;
    "demo") words="--help --output -o --json --quiet -q --verbose -v" ;;
    "doctor") words="--help --profile --timeout --retries --ca-bundle --json --quiet -q --verbose -v" ;;
    "export") words="--help --output -o --format -f --rows --columns --delimiter --csv-safe --json --quiet -q --verbose -v" ;;
    "get") words="--help cognite exabase playment justcrawl expertai" ;;
    "get cognite") words="--help --wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --token-file --client-secret-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "get exabase") words="--help --wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --base-id --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "get expertai") words="--help --wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --token-url --token-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "get justcrawl") words="--help --wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "get playment") words="--help --wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --project --batch --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "providers") words="--help list show" ;;
    "providers list") words="--help --json --quiet -q --verbose -v" ;;
    "providers show") words="--help --json --quiet -q --verbose -v" ;;
    "sandbox") words="--help jobs serve run" ;;
    "sandbox jobs") words="--help --json --quiet -q --verbose -v" ;;
    "sandbox run") words="--help --pace --trouble --json --quiet -q --verbose -v" ;;
    "sandbox serve") words="--help --port --storage-port --pace --trouble --json --quiet -q --verbose -v" ;;
    "status") words="--help cognite exabase playment justcrawl expertai" ;;
    "status cognite") words="--help --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --token-file --client-secret-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "status exabase") words="--help --base-url --states --base-id --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "status expertai") words="--help --base-url --states --token-url --token-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "status justcrawl") words="--help --base-url --states --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
    "status playment") words="--help --base-url --states --project --batch --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _jobfetch jobfetch
