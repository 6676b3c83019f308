# bash completion for jobfetch; made by completions/generate.py
# What stands at a place: its commands, its options, what its arguments are, and whether the last may be repeated.
_jobfetch_at() {
  case "$1" in
    "") commands="get status batch export auth config doctor providers sandbox demo completions" options="--version -V --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "auth") commands="login logout status" options="--help -h" repeated="" arguments=() ;;
    "auth login") commands="cognite exabase playment justcrawl expertai" options="--help -h" repeated="" arguments=() ;;
    "auth login cognite") commands="" options="--secret --check --no-check --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "auth login exabase") commands="" options="--secret --check --no-check --base-url --states --base-id --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "auth login expertai") commands="" options="--secret --check --no-check --base-url --states --token-url --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "auth login justcrawl") commands="" options="--secret --check --no-check --base-url --states --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "auth login playment") commands="" options="--secret --check --no-check --base-url --states --project --batch --profile --timeout --retries --ca-bundle --secret-stdin --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "auth logout") commands="" options="--profile --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words cognite exabase playment justcrawl expertai") ;;
    "auth status") commands="" options="--check --profile --timeout --retries --ca-bundle --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words cognite exabase playment justcrawl expertai") ;;
    "batch") commands="download retry verify status" options="--help -h" repeated="" arguments=() ;;
    "batch download") commands="cognite exabase playment justcrawl expertai" options="--output -o --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --reproducible --allow-partial --report --prom --ping --base-url --states --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "batch download cognite") commands="" options="--jobs --output -o --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --token-file --client-secret-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "batch download exabase") commands="" options="--jobs --output -o --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --base-id --api-key-file --state --kind --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "batch download expertai") commands="" options="--jobs --output -o --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --token-url --token-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "batch download justcrawl") commands="" options="--jobs --output -o --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --api-key-file --status --workflow-id --schedule-id --domain --tag --created-after --created-before --updated-after --updated-before --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "batch download playment") commands="" options="--jobs --output -o --jobs-key --assets --limit --dry-run --refresh --verify --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --project --batch --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "batch retry") commands="" options="--workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --token-url --scopes --audience --client-id --token-file --client-secret-file --api-key-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("folder") ;;
    "batch status") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("folder") ;;
    "batch verify") commands="" options="--repair --workers --rate --wait -w --interval --format -f --rows --reproducible --allow-partial --report --prom --ping --base-url --states --token-url --scopes --audience --client-id --token-file --client-secret-file --api-key-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("folder") ;;
    "completions") commands="show install" options="--help -h" repeated="" arguments=() ;;
    "completions install") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words bash zsh fish") ;;
    "completions show") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words bash zsh fish") ;;
    "config") commands="path show set unset init" options="--help -h" repeated="" arguments=() ;;
    "config init") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "config path") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "config set") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("words default_provider default_profile credential_store defaults.timeout defaults.workers defaults.rate defaults.format defaults.output cognite.base_url cognite.states cognite.project cognite.cluster cognite.kind cognite.cdf_version cognite.token_url cognite.scopes cognite.audience cognite.client_id cognite.timeout cognite.workers cognite.rate cognite.format cognite.output cognite.token_file cognite.token_command cognite.client_secret_file cognite.client_secret_command exabase.base_url exabase.states exabase.base_id exabase.state exabase.kind exabase.timeout exabase.workers exabase.rate exabase.format exabase.output exabase.api_key_file exabase.api_key_command playment.base_url playment.states playment.project playment.batch playment.timeout playment.workers playment.rate playment.format playment.output playment.api_key_file playment.api_key_command justcrawl.base_url justcrawl.states justcrawl.status justcrawl.workflow_id justcrawl.schedule_id justcrawl.domain justcrawl.tag justcrawl.created_after justcrawl.created_before justcrawl.updated_after justcrawl.updated_before justcrawl.timeout justcrawl.workers justcrawl.rate justcrawl.format justcrawl.output justcrawl.api_key_file justcrawl.api_key_command expertai.base_url expertai.states expertai.token_url expertai.timeout expertai.workers expertai.rate expertai.format expertai.output expertai.token_file expertai.token_command expertai.username_file expertai.username_command expertai.password_file expertai.password_command" "anything") ;;
    "config show") commands="" options="--profile --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words cognite exabase playment justcrawl expertai") ;;
    "config unset") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("keys") ;;
    "demo") commands="" options="--output -o --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "doctor") commands="" options="--profile --timeout --retries --ca-bundle --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words cognite exabase playment justcrawl expertai") ;;
    "export") commands="" options="--output -o --format -f --rows --columns --delimiter --csv-safe --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("file") ;;
    "get") commands="cognite exabase playment justcrawl expertai" options="--help -h" repeated="" arguments=() ;;
    "get cognite") commands="" options="--wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --token-file --client-secret-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "get exabase") commands="" options="--wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --base-id --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "get expertai") commands="" options="--wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --token-url --token-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "get justcrawl") commands="" options="--wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "get playment") commands="" options="--wait -w --interval --output -o --format -f --assets --rows --query --reproducible --allow-partial --columns --delimiter --csv-safe --base-url --states --project --batch --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "providers") commands="list show" options="--help -h" repeated="" arguments=() ;;
    "providers list") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "providers show") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=("words cognite exabase playment justcrawl expertai") ;;
    "sandbox") commands="jobs serve run" options="--help -h" repeated="" arguments=() ;;
    "sandbox jobs") commands="" options="--json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "sandbox run") commands="" options="--pace --trouble --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("command") ;;
    "sandbox serve") commands="" options="--port --storage-port --pace --trouble --json --quiet -q --verbose -v --log-format --help -h" repeated="" arguments=() ;;
    "status") commands="cognite exabase playment justcrawl expertai" options="--help -h" repeated="" arguments=() ;;
    "status cognite") commands="" options="--base-url --states --project --cluster --kind --cdf-version --token-url --scopes --audience --client-id --token-file --client-secret-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "status exabase") commands="" options="--base-url --states --base-id --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "status expertai") commands="" options="--base-url --states --token-url --token-file --username-file --password-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "status justcrawl") commands="" options="--base-url --states --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    "status playment") commands="" options="--base-url --states --project --batch --api-key-file --timeout --retries --profile --secret-stdin --ca-bundle --parse-limit --json --quiet -q --verbose -v --log-format --help -h" repeated="1" arguments=("jobs") ;;
    *) return 1 ;;
  esac
}

# What an option takes there; fails where it takes nothing.
_jobfetch_takes() {
  case "$1 $2" in
    "batch download exabase --kind") takes="anything" ;;
    "export --output") takes="file" ;;
    "get cognite --output") takes="file" ;;
    "get exabase --output") takes="file" ;;
    "get expertai --output") takes="file" ;;
    "get justcrawl --output") takes="file" ;;
    "get playment --output") takes="file" ;;
    "batch download expertai --rows") takes="words words" ;;
    "get expertai --rows") takes="words words" ;;
    "auth login cognite --secret") takes="words token client_secret" ;;
    "auth login expertai --secret") takes="words token username password" ;;
    "export -o") takes="file" ;;
    "get cognite -o") takes="file" ;;
    "get exabase -o") takes="file" ;;
    "get expertai -o") takes="file" ;;
    "get justcrawl -o") takes="file" ;;
    "get playment -o") takes="file" ;;
    *" --audience" | *" --base-id" | *" --base-url" | *" --batch" | *" --cdf-version" | *" --client-id" | *" --cluster" | *" --columns" | *" --created-after" | *" --created-before" | *" --domain" | *" --interval" | *" --jobs-key" | *" --limit" | *" --pace" | *" --parse-limit" | *" --ping" | *" --port" | *" --project" | *" --query" | *" --retries" | *" --rows" | *" --schedule-id" | *" --scopes" | *" --states" | *" --status" | *" --storage-port" | *" --tag" | *" --timeout" | *" --token-url" | *" --trouble" | *" --updated-after" | *" --updated-before" | *" --workers" | *" --workflow-id") takes="anything" ;;
    *" --api-key-file" | *" --ca-bundle" | *" --client-secret-file" | *" --jobs" | *" --password-file" | *" --prom" | *" --report" | *" --token-file" | *" --username-file") takes="file" ;;
    *" --output" | *" -o") takes="folder" ;;
    *" --profile") takes="profiles" ;;
    *" --secret") takes="words api_key" ;;
    *" --format" | *" -f") takes="words json ndjson csv parquet sqlite raw" ;;
    *" --rate") takes="words none" ;;
    *" --state") takes="words pending processing completed failed cleaned" ;;
    *" --delimiter") takes="words tab" ;;
    *" --log-format") takes="words text json" ;;
    *" --kind") takes="words vision/extract diagram/detect diagram/convert entitymatching" ;;
    *) return 1 ;;
  esac
}

_jobfetch_offer() {  # what, program, line
  local what="$1" program="$2" word
  shift 2
  case "$what" in
    words\ *)
      COMPREPLY=($(compgen -W "${what#words }" -- "$cur")) ;;
    file) compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$cur")) ;;
    folder) compopt -o dirnames 2>/dev/null || COMPREPLY=($(compgen -d -- "$cur")) ;;
    command)
      # files behind it, as for any command that has no completion of its own
      ((count)) && { compopt -o default 2>/dev/null; return 0; }
      COMPREPLY=($(compgen -c -- "$cur")) ;;
    anything) ;;
    *)
      while IFS= read -r word; do
        COMPREPLY+=("$(printf '%q' "${word%%$'\t'*}")")
      done < <("$program" completions words "$what" "$@" 2>/dev/null) ;;
  esac
}

_jobfetch() {
  local IFS=$' \t\n' cur token lead place="" takes="" over="" word i at n=0 count=0
  local commands="" options="" repeated=""
  local -a line=() arguments=()
  # bash breaks words at = and : as well; here they are whole again
  for ((i = 1; i <= COMP_CWORD; i++)); do
    if ((n > 0)) && [[ ${COMP_WORDS[i]} =~ ^[=:]+$ || (${COMP_WORDS[i-1]} =~ ^[=:]+$ && $i -gt 1) ]]; then
      line[n-1]+="${COMP_WORDS[i]}"
    else
      line[n++]="${COMP_WORDS[i]}"
    fi
  done
  cur="${line[n-1]}" token="${COMP_WORDS[COMP_CWORD]}" COMPREPLY=()
  [[ $token =~ ^[=:]+$ ]] && token=""
  lead="${cur%"$token"}"
  _jobfetch_at ""
  for ((i = 0; i < n - 1; i++)); do
    word="${line[i]}"
    if [[ $takes ]]; then takes=""; continue; fi
    case "$over$word" in
      --) over=1 ;;
      -*=*) ;;
      -*) _jobfetch_takes "$place" "$word" || takes="" ;;
      *)
        case " $commands " in
          *" $word "*) place="${place:+$place }$word"; _jobfetch_at "$place" ;;
          *) ((count++)) ;;
        esac ;;
    esac
  done
  if [[ $takes ]]; then
    :
  elif [[ ! $over && $cur == --*=* ]]; then
    _jobfetch_takes "$place" "${cur%%=*}" || return 0
    lead="${lead#"${cur%%=*}="}" cur="${cur#*=}"
  elif [[ ! $over && $cur == -* ]]; then
    takes="words $options"
  elif [[ $commands ]]; then
    takes="words $commands"
  else
    at=$count
    ((at >= ${#arguments[@]})) && [[ $repeated ]] && at=$((${#arguments[@]} - 1))
    takes="${arguments[at]:-anything}"
  fi
  _jobfetch_offer "$takes" "${COMP_WORDS[0]/#\~\//$HOME/}" "${line[@]:0:n-1}" "$cur"
  for i in "${!COMPREPLY[@]}"; do
    COMPREPLY[i]="${COMPREPLY[i]#"$lead"}"
  done
}
complete -F _jobfetch jobfetch
