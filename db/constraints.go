package db

import "bulkhead/db/pgerr"

// meanings has, for each unique constraint and foreign key of the platform's tables, what a caller reads who breaks it.
// What checks and types refuse has been refused before it comes here. A test asks the database which constraints there
// are and fails when one has no line here.
var meanings = pgerr.Meanings{
	"principal_key_kind_unique":         "a user or service account of this key exists already",
	"app_user_identity_unique":          "a user of this name exists already",
	"app_user_principal_exists":         "the user does not exist",
	"app_user_project_exists":           "the project does not exist",
	"service_account_principal_exists":  "the service account does not exist",
	"service_account_project_exists":    "the project does not exist",
	"api_key_holder_exists":             "the user or service account does not exist",
	"project_name_unique":               "a project of this name exists already",
	"app_name_unique":                   "an app of this name exists already",
	"app_owner_exists":                  "the app's owner does not exist",
	"app_credential_app_exists":         "the app does not exist",
	"installation_project_exists":       "the project does not exist, or still has installations",
	"installation_app_exists":           "the app does not exist, or is still installed",
	"device_name_unique":                "the project has a device of this name already",
	"device_serial_unique":              "a device with this serial exists already",
	"device_project_exists":             "the project does not exist, or still has devices",
	"device_secret_device_exists":       "the device does not exist",
	"service_installation_exists":       "the installation does not exist",
	"installation_pkey":                 "the app is installed in the project at this stage already",
	"service_pkey":                      "the realm has a service of this name already",
	"placement_database_project_unique": "the project has a database already",
	"placement_schema_unique":           "the schema exists already",
	"placement_database_exists":         "the database is still used",
	"placement_login_slot_unique":       "the login exists already",
	"placement_login_placement_exists":  "the app is not installed here",
	"audit_leaf_sequence_unique":        "another sequencer gave the entry its place",
}
