/// What the run is conditioned on, in the model's fixed point (`mote inspect` says which): put your observation here.
static CONDITION: [i32; model::CONDITION_LEN] = [0; model::CONDITION_LEN];
