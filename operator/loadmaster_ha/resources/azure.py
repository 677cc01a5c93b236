"""Where in Azure the pair lives, and as whom the operator goes there (`spec.azure`)."""

from typing import Annotated

from pydantic import ConfigDict, Field

from loadmaster_ha.resources.model import Model, Rule, immutable, rules
from loadmaster_ha.resources.names import Location, ResourceGroupName, SecretName, SubscriptionID

MAX_TAGS = 45
"""Azure allows 50 on a resource; the rest is for the tags by which the operator knows its own."""

TagValue = Annotated[str, Field(max_length=256)]


class SecretReference(Model):
    """A Secret in the same namespace."""

    name: SecretName
    """Name of the Secret."""


class Azure(Model):
    """Subscription, resource group and credentials."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.tags) || self.tags.all(name, name.size() >= 1 && name.size() <= 512 && "
                "!['<', '>', '%', '&', '\\\\', '?', '/'].exists(c, name.contains(c)))",
                message="a tag's name has 1 to 512 characters and none of < > % & \\ ? / (Azure's rule)",
                field_path=".tags",
            ),
            Rule(
                "!has(self.tags) || !self.tags.exists(name, ['loadmaster.dev-', 'microsoft', 'azure', "
                "'windows'].exists(prefix, name.lowerAscii().startsWith(prefix)))",
                message="tags whose name begins with loadmaster.dev- are the operator's own, and Azure "
                "reserves microsoft, azure and windows; choose another name",
                field_path=".tags",
                reason="FieldValueForbidden",
            ),
        )
    )

    subscription_id: SubscriptionID = Field(
        alias="subscriptionID",
        json_schema_extra=rules(
            immutable("azure.subscriptionID", "create another LoadMasterPair for another subscription")
        ),
    )
    """Subscription of the pair and of everything that is created for it. Cannot be changed."""

    resource_group: ResourceGroupName = Field(
        json_schema_extra=rules(
            immutable("azure.resourceGroup", "create another LoadMasterPair for another resource group")
        )
    )
    """Existing resource group of both units, and of what is named without a group of its own; the load
    balancer is created here. Cannot be changed."""

    location: Location | None = None
    """Azure region in its short form, e.g. westeurope. Default: the resource group's."""

    credentials_secret_ref: SecretReference | None = None
    """Secret with the keys tenantID, clientID and clientSecret, or with the settings of a workload identity.
    Default: the operator's own identity."""

    tags: dict[str, TagValue] = Field(default={}, max_length=MAX_TAGS)
    """Tags put on the resources that the operator creates. A tag that others put there stays."""
