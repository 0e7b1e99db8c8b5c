/* What the run is conditioned on, in the model's fixed point (`mote inspect` says which): put your observation here. */
static int32_t condition[MODEL_CONDITION_LENGTH];
