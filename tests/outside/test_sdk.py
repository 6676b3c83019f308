"""The vendor's own client takes the sandbox for the service: what is rehearsed against it is the real thing."""

from typing import Any

import pytest
from cognite.client import ClientConfig, CogniteClient, global_config
from cognite.client.credentials import OAuthClientCredentials
from cognite.client.exceptions import CogniteModelFailedError

from jobfetch.sandbox import Sandbox

# the client says on every call that the service retires this API; so it does, and until then jobs are fetched from it
pytestmark = pytest.mark.filterwarnings("ignore:The Vision API will be removed:UserWarning")


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The vendor's client, signed in at the sandbox and asking nobody else."""
    monkeypatch.setattr(global_config, "disable_pypi_version_check", True)
    values = {name.removeprefix("JOBFETCH_COGNITE_"): value for name, value in sandbox.environment().items()}
    credentials = OAuthClientCredentials(
        token_url=values["TOKEN_URL"],
        client_id=values["CLIENT_ID"],
        client_secret=values["CLIENT_SECRET"],
        scopes=[values["SCOPES"]],
    )
    return CogniteClient(
        ClientConfig(client_name="tests", project=values["PROJECT"], base_url=sandbox.url, credentials=credentials)
    )


def test_the_vendors_client_waits_for_a_job_of_the_sandbox(client: Any, sandbox: Sandbox) -> None:
    job = client.vision.get_extract_job(1002)
    job.wait_for_completion(interval=1, timeout=30)
    assert job.status == "Completed"
    assert [item.file_id for item in job.items] == [1234]
    assert sandbox.asked()[0].path == "/oauth2/token"


def test_the_vendors_client_reads_the_predictions_of_a_job(client: Any) -> None:
    [item] = client.vision.get_extract_job(200).items
    assert 0 < item.predictions.text_predictions[0].confidence <= 1


def test_the_vendors_client_is_told_of_a_job_that_failed(client: Any) -> None:

    job = client.vision.get_extract_job(600)
    with pytest.raises(CogniteModelFailedError):
        job.wait_for_completion(interval=1, timeout=30)
