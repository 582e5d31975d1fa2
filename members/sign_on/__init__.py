"""Sign-on with a university's identity provider.

`configuring` keeps the rows, `oidc` and `saml` speak with the provider, `claims` reads what it says, `entering` decides
what that means for a person here, `joining` gives and ends seats, `passwords` says who may not use one any more.
Protocol errors are `SignOnRefused`: a sentence for the person, a reason for the log.
"""
